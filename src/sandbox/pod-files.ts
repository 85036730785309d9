import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { BerthError } from '#base/errors';
import type { DNSConfig__Output } from '#cri-api/gen/runtime/v1/DNSConfig';

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
export async function writePodFiles(directory: string, input: PodFilesInput, nodeEtc = '/etc'): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o711 });
  const files = podFilesIn(directory);
  const hosts = input.nodeNetwork ? await nodeFile(nodeEtc, 'hosts') : hostsText(input.hostname, input.addresses);
  const resolv = input.dns ? resolvConfText(input.dns) : await nodeFile(nodeEtc, 'resolv.conf');
  // 0644 whatever our umask: every user of the container reads them.
  const options = { mode: 0o644 };
  await Promise.all([
    writeFile(files['/etc/hosts'], hosts, options),
    writeFile(files['/etc/hostname'], `${input.hostname}\n`, options),
    writeFile(files['/etc/resolv.conf'], resolv, options),
  ]);
}

export async function removePodFiles(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}

async function nodeFile(etc: string, name: string): Promise<Buffer> {
  const file = path.join(etc, name);
  try {
    const content = await readFile(file);
    if (content.length > maxNodeFile)
      throw new BerthError('RESOURCE_EXHAUSTED', `${file} is larger than ${maxNodeFile} bytes`);
    return content;
  } catch (error) {
    if (error instanceof BerthError) throw error;
    // A node without the file (an image-based one may have no resolv.conf): pods start with an empty one.
    return Buffer.alloc(0);
  }
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
