import { BerthError } from '#base/errors';
import type { PortMapping } from '../pod-network.ts';
import { contains, formatAddress, parseAddress, parseSubnet, unmapped, type Family } from './subnet.ts';

/** Of one pod; Kubernetes knows no limit, but the table's text has one. */
const maxMappings = 1000;

/** A port of the node as the node sees it: without a family it is one of both. */
export interface HostPort {
  readonly protocol: PortMapping['protocol'];
  readonly port: number;
  /** Undefined: both. */
  readonly family: Family | undefined;
  /** Canonical; "" for every address of the family. */
  readonly address: string;
  readonly containerPort: number;
}

/** What the kernel does with one port of one family. */
export interface Forward {
  readonly family: Family;
  readonly protocol: PortMapping['protocol'];
  /** "" for every address of the node. */
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly podAddress: string;
  readonly podPort: number;
}

const loopback6 = parseSubnet('::/126');

/**
 * The ports a pod asks for, without repetitions.
 *
 * @throws INVALID_ARGUMENT for what is no address, what cannot be forwarded, and a port with two meanings
 */
export function hostPorts(mappings: readonly PortMapping[]): readonly HostPort[] {
  if (mappings.length > maxMappings) {
    throw new BerthError('INVALID_ARGUMENT', `${mappings.length} host ports: a pod may have ${maxMappings}`);
  }
  const ports: HostPort[] = [];
  for (const mapping of mappings) {
    const port = hostPort(mapping);
    const others = ports.filter((other) => overlap(port, other));
    const rival = others.find((other) => other.containerPort !== port.containerPort);
    if (rival !== undefined) {
      throw new BerthError(
        'INVALID_ARGUMENT',
        `host port ${portText(port)} of one pod leads to its ports ${rival.containerPort} and ${port.containerPort}`,
      );
    }
    if (!others.some((other) => other.family === port.family && other.address === port.address)) ports.push(port);
  }
  return ports;
}

function hostPort({ protocol, containerPort, hostPort: port, hostIp }: PortMapping): HostPort {
  if (hostIp === '') return { protocol, port, family: undefined, address: '', containerPort };
  const parsed = parseAddress(hostIp);
  if (parsed === undefined) {
    throw new BerthError('INVALID_ARGUMENT', `host IP ${JSON.stringify(hostIp.slice(0, 64))} is not an address`);
  }
  const address = unmapped(parsed);
  const { family, value } = address;
  if (value !== 0n && contains(loopback6, address)) {
    throw new BerthError(
      'INVALID_ARGUMENT',
      `host IP ${hostIp}: the kernel forwards nothing from the IPv6 loopback address; use 127.0.0.1`,
    );
  }
  return { protocol, port, family, address: value === 0n ? '' : formatAddress(address), containerPort };
}

/** Whether there is an address of the node at which both would be reached. */
export function overlap(one: HostPort, other: HostPort): boolean {
  if (one.protocol !== other.protocol || one.port !== other.port) return false;
  if (one.family !== undefined && other.family !== undefined && one.family !== other.family) return false;
  return one.address === '' || other.address === '' || one.address === other.address;
}

/** "tcp 8080", "udp 53 of 127.0.0.1". */
export function portText({ protocol, port, family, address }: HostPort): string {
  const every = family === undefined ? '' : ` of every IPv${family} address`;
  return `${protocol} ${port}${address === '' ? every : ` of ${address}`}`;
}

/**
 * Where the ports lead once the pod has its addresses. A port of both families leads to the addresses there are.
 *
 * @throws FAILED_PRECONDITION for a port of a family in which the pod has no address
 */
export function forwardsOf(ports: readonly HostPort[], addresses: readonly string[]): readonly Forward[] {
  const nowhere = ports.find((port) => leadsOf(port, addresses).length === 0);
  if (nowhere === undefined) return forwardsOfRecord(ports, addresses);
  throw new BerthError(
    'FAILED_PRECONDITION',
    `host port ${portText(nowhere)}: pods have no IPv${nowhere.family} address`,
  );
}

/** As forwardsOf, of what was written down before: a port that leads nowhere is passed over. */
export function forwardsOfRecord(ports: readonly HostPort[], addresses: readonly string[]): readonly Forward[] {
  return ports.flatMap((port) => leadsOf(port, addresses));
}

function leadsOf(port: HostPort, addresses: readonly string[]): readonly Forward[] {
  return addresses.flatMap((podAddress) => {
    const family = parseAddress(podAddress)?.family ?? 4;
    if (port.family !== undefined && port.family !== family) return [];
    return [
      {
        family,
        protocol: port.protocol,
        hostAddress: port.address,
        hostPort: port.port,
        podAddress,
        podPort: port.containerPort,
      },
    ];
  });
}
