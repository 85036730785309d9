import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchNode } from '../node/bench-node.ts';

export const registryHost = '127.0.0.1:5000';

/** docker-registry on the node's loopback, with images that lie in `storage` already. */
export async function startRegistry(node: BenchNode, storage: string): Promise<void> {
  const file = path.join(node.directory, 'registry.yml');
  const settings = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: storage } },
    http: { addr: registryHost, secret: 'bench' },
  };
  // JSON is YAML too.
  writeFileSync(file, JSON.stringify(settings));
  await node.startDaemon({
    name: 'registry',
    group: 'registry',
    command: ['docker-registry', 'serve', file],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  for (let tries = 0; tries < 200; tries++) {
    const answered = await node.run(['bash', '-c', 'exec 3<>/dev/tcp/127.0.0.1/5000']).then(
      () => true,
      () => false,
    );
    if (answered) return;
    await sleep(25);
  }
  throw new Error(`docker-registry did not start: ${node.logTail('registry')}`);
}
