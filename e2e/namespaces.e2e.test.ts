import { readlinkSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { CrictlPod, namespaceMode } from './harness/crictl-pod.ts';
import { podConfig, shell, TestPod } from './harness/pods.ts';

const { POD, CONTAINER, NODE, TARGET } = namespaceMode;
const kinds = ['net', 'pid', 'ipc', 'uts', 'mnt'] as const;
type Kind = (typeof kinds)[number];

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
});
afterAll(() => berthd.teardown());

/** The node's namespaces: network and mounts of the test node, the rest the machine's. */
function nodeNamespaces(): Record<Kind, string> {
  const link = (kind: Kind): string => readlinkSync(`/proc/${berthd.node.pid}/ns/${kind}`);
  return { net: link('net'), pid: link('pid'), ipc: link('ipc'), uts: link('uts'), mnt: link('mnt') };
}

async function namespacesOf(container: string): Promise<Record<Kind, string>> {
  const script = kinds.map((kind) => `readlink /proc/self/ns/${kind}`).join('; ');
  const lines = (await berthd.crictlOk('exec', '--sync', container, 'sh', '-c', script)).split('\n');
  const [net = '', pid = '', ipc = '', uts = '', mnt = ''] = lines;
  return { net, pid, ipc, uts, mnt };
}

interface Mode {
  readonly name: string;
  readonly options: { readonly network?: number; readonly pid?: number; readonly ipc?: number };
  /** Namespaces two containers of the pod have in common. */
  readonly shared: readonly Kind[];
  /** Namespaces that are the node's. */
  readonly nodes: readonly Kind[];
}

const modes: readonly Mode[] = [
  {
    name: 'all of the pod',
    options: { network: POD, pid: POD, ipc: POD },
    shared: ['net', 'pid', 'ipc', 'uts'],
    nodes: [],
  },
  { name: 'a pid namespace for each container', options: { pid: CONTAINER }, shared: ['net', 'ipc', 'uts'], nodes: [] },
  {
    name: 'the node’s network',
    options: { network: NODE, pid: CONTAINER },
    shared: ['net', 'ipc', 'uts'],
    nodes: ['net', 'uts'],
  },
  { name: 'the node’s pids', options: { pid: NODE }, shared: ['net', 'pid', 'ipc', 'uts'], nodes: ['pid'] },
  { name: 'the node’s ipc', options: { pid: CONTAINER, ipc: NODE }, shared: ['net', 'ipc', 'uts'], nodes: ['ipc'] },
  {
    name: 'everything of the node',
    options: { network: NODE, pid: NODE, ipc: NODE },
    shared: ['net', 'pid', 'ipc', 'uts'],
    nodes: ['net', 'pid', 'ipc', 'uts'],
  },
];

describe('crictl takes a pod through its life', () => {
  test.each(modes)('with $name', async ({ options, shared, nodes }) => {
    const security = { security_context: { namespace_options: options } };
    const pod = await CrictlPod.run(berthd, podConfig(berthd, { linux: security as object }));
    const config = (name: string): object => ({
      ...shell(`echo I am ${name}; sleep 1000`, { metadata: { name, attempt: 0 }, log_path: `${name}.log` }),
      linux: security,
    });
    const first = await pod.start(config('first'));
    const second = await pod.start(config('second'));

    const mine = await namespacesOf(first);
    const theirs = await namespacesOf(second);
    const node = nodeNamespaces();
    expect(kinds.filter((kind) => mine[kind] === theirs[kind])).toEqual(kinds.filter((kind) => shared.includes(kind)));
    expect(kinds.filter((kind) => mine[kind] === node[kind])).toEqual(kinds.filter((kind) => nodes.includes(kind)));

    expect((await berthd.crictl(['logs', first])).stdout).toBe('I am first\n');
    expect(await berthd.crictlOk('ps', '-q', '--pod', pod.id)).toContain(second);
    await pod.remove([first, second]);
    expect(await berthd.crictlOk('pods', '-q', '--id', pod.id)).toBe('');
  });

  test('with another container’s pids (TARGET)', async () => {
    const pod = await CrictlPod.run(berthd, podConfig(berthd));
    const options = (pid: object): object => ({ linux: { security_context: { namespace_options: pid } } });
    const base = { metadata: { name: 'main', attempt: 0 }, log_path: 'main.log' };
    const main = await pod.start({ ...shell('sleep 4321', base), ...options({ pid: CONTAINER }) });
    const debug = { metadata: { name: 'debug', attempt: 0 }, log_path: 'debug.log' };
    const helper = await pod.start({
      ...shell('sleep 1000', debug),
      ...options({ pid: TARGET, target_id: main }),
    });
    expect(await berthd.crictlOk('exec', '--sync', helper, 'ps', '-o', 'args')).toContain('sleep 4321');
    expect((await namespacesOf(helper)).pid).toBe((await namespacesOf(main)).pid);
    await pod.remove([helper, main]);
  });
});

describe('inside', () => {
  test('pid 1 of a container’s own namespace is its command; of the pod’s it is pause, which reaps', async () => {
    const own = await TestPod.run(berthd, { linux: { security_context: { namespace_options: { pid: 'CONTAINER' } } } });
    const alone = { linux: { security_context: { namespace_options: { pid: 'CONTAINER' as const } } } };
    expect(await own.sh('echo $$', alone)).toBe('1\n');
    const shared = await TestPod.run(berthd, { linux: { security_context: { namespace_options: { pid: 'POD' } } } });
    const container = await shared.start(
      shell('sleep 1000', { linux: { security_context: { namespace_options: { pid: 'POD' } } } }),
    );
    expect(Number((await container.sh('echo $$')).trim())).toBeGreaterThan(1);
    // An orphan becomes pause's child; when it has ended nothing of it stays.
    await container.sh('(sh -c "sleep 0.2" &) ; sleep 0.6');
    expect(await container.sh('cat /proc/[0-9]*/stat 2>/dev/null | cut -d " " -f 3 | grep -c Z || true')).toBe('0\n');
  });

  test('a pod has its own addresses and can reach the other’s', async () => {
    const [one, other] = await Promise.all([TestPod.run(berthd), TestPod.run(berthd)]);
    const server = await other.start(shell('echo hi > /tmp/x; httpd -f -p 8080 -h /tmp'));
    const address = async (pod: TestPod): Promise<string> =>
      (await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: pod.id })).status?.network?.ip ?? '';
    expect(await address(one)).not.toBe(await address(other));
    expect(
      await one.sh(
        `i=0; until wget -q -O - http://${await address(other)}:8080/x || [ $i -gt 50 ]; do i=$((i+1)); sleep 0.1; done`,
      ),
    ).toBe('hi\n');
    const { status } = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: one.id });
    expect(status?.network?.additional_ips.map(({ ip }) => ip.includes(':'))).toEqual([true]);
    expect((await server.status()).state).toBe('CONTAINER_RUNNING');
  });

  test('a pod on the node’s network has no address of its own', async () => {
    const pod = await TestPod.run(berthd, { linux: { security_context: { namespace_options: { network: 'NODE' } } } });
    const { status } = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
    expect(status?.network?.ip ?? '').toBe('');
  });
});
