import path from 'node:path';
import type { BenchNode } from '../node/bench-node.ts';
import type { RuntimeName } from '../options.ts';

/** Where a runtime of the node keeps its images. */
export function rootOf(node: BenchNode, name: RuntimeName): string {
  return path.join(node.directory, name, 'root');
}

/**
 * A disk of its own for each runtime: ext4 with a journal in a file in memory. So nobody meets the other's leavings, and
 * what else the machine's disk has to do does not count. It goes with the node's mount namespace.
 */
export async function mountDisk(node: BenchNode, name: RuntimeName): Promise<void> {
  const root = rootOf(node, name);
  const file = `/run/${name}.disk`;
  const script = `mkdir -p '${root}' && truncate -s 5G ${file} && mkfs.ext4 -q -E lazy_itable_init=0 ${file} && mount -o loop ${file} '${root}'`;
  await node.run(['sh', '-c', script]);
}

export async function syncDisk(node: BenchNode, name: RuntimeName): Promise<void> {
  await node.run(['sync', '-f', rootOf(node, name)]);
}
