import path from 'node:path';
import { BerthError } from '#base/errors';
import type { DNSConfig__Output } from '#cri-api/gen/runtime/v1/DNSConfig';
import type { FileOperation } from '#linux/addon';
import type { Files } from '#linux/files';

/** Files of the node that pods take over are small; what is larger is something else. */
const maxNodeFile = 256 * 1024;

export interface PodFilesInput {
  readonly hostname: string;
  /** The pod's addresses, the primary one first; empty on the node's network. */
  readonly addresses: readonly string[];
  readonly dns: DNSConfig__Output | null;
  readonly nodeNetwork: boolean;
}

/** Where in a container each file appears, and where it lies on the node. */
export type PodFiles = Readonly<Record<'/etc/hosts' | '/etc/hostname' | '/etc/resolv.conf', string>>;

export function podFilesIn(directory: string): PodFiles {
  return {
    '/etc/hosts': path.join(directory, 'hosts'),
    '/etc/hostname': path.join(directory, 'hostname'),
    '/etc/resolv.conf': path.join(directory, 'resolv.conf'),
  };
}

/** Writes the pod's hosts, hostname and resolv.conf. The directory is made; on failure the caller removes it. */
export async function writePodFiles(
  files: Pick<Files, 'run'>,
  directory: string,
  input: PodFilesInput,
  nodeEtc = '/etc',
): Promise<void> {
  const places = podFilesIn(directory);
  const { hostname, addresses, dns } = input;
  await files.run(
    [
      { op: 'mkdir', path: directory, mode: 0o700, optional: ['EEXIST'] },
      ...(input.nodeNetwork
        ? nodeFile(path.join(nodeEtc, 'hosts'), places['/etc/hosts'])
        : [textFile(places['/etc/hosts'], hostsText(hostname, addresses))]),
      textFile(places['/etc/hostname'], `${hostname}\n`),
      ...(dns
        ? [textFile(places['/etc/resolv.conf'], resolvConfText(dns))]
        : nodeFile(path.join(nodeEtc, 'resolv.conf'), places['/etc/resolv.conf'])),
    ],
    `write the pod files in ${directory}`,
  );
}

// Every user of the container reads them.
const mode = 0o644;

function textFile(path: string, data: string): FileOperation {
  return { op: 'create', path, data, mode };
}

/** A node without the file (an image-based one may have no resolv.conf): pods start with an empty one. */
function nodeFile(from: string, to: string): FileOperation[] {
  const optional = ['ENOENT', 'ENOTDIR', 'EISDIR', 'EACCES', 'ELOOP'];
  return [textFile(to, ''), { op: 'copy', path: from, to, mode, limit: maxNodeFile, optional }];
}

export function hostsText(hostname: string, addresses: readonly string[]): string {
  const lines = [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'ff02::1\tip6-allnodes',
    'ff02::2\tip6-allrouters',
    ...addresses.map((address) => `${address}\t${hostname}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** resolv.conf(5). What would start a line of its own is refused. */
export function resolvConfText(dns: DNSConfig__Output): string {
  for (const word of [...dns.servers, ...dns.searches, ...dns.options]) {
    if (/[\s\0]/.test(word))
      throw new BerthError('INVALID_ARGUMENT', `dns_config: ${JSON.stringify(word.slice(0, 80))} has white space`);
  }
  const lines = dns.servers.map((server) => `nameserver ${server}`);
  if (dns.searches.length > 0) lines.unshift(`search ${dns.searches.join(' ')}`);
  if (dns.options.length > 0) lines.push(`options ${dns.options.join(' ')}`);
  return lines.map((line) => `${line}\n`).join('');
}
