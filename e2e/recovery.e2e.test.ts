import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Berthd, startBerthd } from './harness/berthd.ts';
import { HangingMount } from './harness/hanging-mount.ts';
import { processes, removeCgroups } from './harness/machine.ts';
import { shell, TestPod, type TestContainer } from './harness/pods.ts';
import { StoreFiles } from './harness/store.ts';
import { delay, eventually } from './harness/wait.ts';

// What lives is told by what lives: whatever becomes of berthd's records, nothing runs unlisted, and nothing twice.

let berthd: Berthd;
let store: StoreFiles;
/** As a kubelet's: outside of what Berth calls its own. */
let kubepods: string;

beforeAll(async () => {
  berthd = await startBerthd({ config: '[timeouts]\nvolume = "20s"\n' });
  store = new StoreFiles(berthd.root);
  kubepods = `/${berthd.node.cgroupPrefix}-kubepods/burstable/pod1`;
  await berthd.loadBusybox();
});
afterAll(async () => {
  // The parents of pods are a kubelet's, who removes them.
  removeCgroups(berthd.node.cgroups().filter((group) => group.includes('-kubepods')));
  await berthd.teardown();
}, 120_000);

/** A shell line that can be found among the processes of the machine. */
const marked = (mark: string): string => `MARK=${mark}-${berthd.node.id}; while :; do sleep 1; done`;
const running = (mark: string): number[] =>
  processes((each) => each.commandLine.includes(`MARK=${mark}-${berthd.node.id};`)).map(({ pid }) => pid);

async function podWith(mark: string): Promise<{ pod: TestPod; container: TestContainer }> {
  const pod = await TestPod.run(berthd, { linux: { cgroup_parent: kubepods } });
  const container = await pod.start(shell(`echo x > /layer; ${marked(mark)}`));
  await eventually('its command runs', () => running(mark).length === 1);
  return { pod, container };
}

async function goesWell({ pod, container }: { pod: TestPod; container: TestContainer }, mark: string): Promise<void> {
  expect(running(mark)).toHaveLength(1);
  const { containers } = await berthd.cri.runtime.listContainers({});
  expect(containers.map(({ id, state }) => [id, state])).toEqual([[container.id, 'CONTAINER_RUNNING']]);
  expect(await pod.status()).toBe('SANDBOX_READY');
  expect(await container.sh('cat /layer; cat /etc/hostname > /dev/null && echo alive')).toBe('x\nalive\n');
  await container.stop();
  expect(running(mark)).toEqual([]);
  await pod.remove();
  await berthd.forget();
  expect(await berthd.strays()).toEqual([]);
  expect(berthd.node.cgroups().filter((group) => group.endsWith(container.id))).toEqual([]);
}

describe('a record that is lost while its process lives', () => {
  test.each(['container', 'pod'])('a %s record of a newer version stays as it is; nothing is ended', async (kind) => {
    const left = await podWith('newer');
    const key = `${kind}/${kind === 'pod' ? left.pod.id : left.container.id}`;
    await berthd.kill9();
    const raised = await store.raiseVersion(key);
    await berthd.start();
    expect(await berthd.strays()).toEqual([expect.stringContaining(`record ${key}: written by a newer berthd`)]);
    await berthd.kill9();
    expect((await store.read()).get(key)).toBe(raised);
    await berthd.start();
    await goesWell(left, 'newer');
  });

  test('the whole store deleted: pods and containers, address, layers and exec are as before', async () => {
    const left = await podWith('deleted');
    const before = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: left.pod.id });
    await berthd.kill9();
    rmSync(store.directory, { recursive: true });
    await berthd.start();
    const after = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: left.pod.id });
    expect(after.status).toEqual(before.status);
    expect(readdirSync(path.join(berthd.root, 'layers')).length).toBeGreaterThan(1);
    expect(await berthd.strays()).toEqual([expect.stringMatching(/^the store was missing at .* entr.* lie here/)]);
    await berthd.forget();
    // Its address is nobody else's.
    await berthd.loadBusybox();
    const other = await TestPod.run(berthd);
    const { status } = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: other.id });
    expect(status?.network?.ip).not.toBe(after.status?.network?.ip);
    await other.remove();
    await goesWell(left, 'deleted');
  });

  test('neither record nor document: ended completely, also outside of our own parent, and the owner is told', async () => {
    const { pod, container } = await podWith('unknown');
    await berthd.kill9();
    const records = await store.read();
    const lost = [...records.keys()].filter((key) => key.endsWith(pod.id) || key.endsWith(container.id));
    await store.write(new Map(lost.map((key) => [key, undefined])));
    const documents = path.join(berthd.run, 'pods', pod.id);
    for (const name of readdirSync(documents)) if (name.endsWith('.json')) rmSync(path.join(documents, name));
    await berthd.start();
    await eventually('the process is gone', () => running('unknown').length === 0);
    expect(existsSync(documents)).toBe(false);
    expect(berthd.node.cgroups().filter((group) => /[0-9a-f]{64}/.test(group))).toEqual([]);
    expect((await berthd.cri.runtime.listContainers({})).containers).toEqual([]);
    const lines = await berthd.strays();
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.every((line) => line.startsWith('ended at the start of berthd'))).toBe(true);
    await berthd.forget();
    expect(await berthd.strays()).toEqual([]);
  });
});

describe('a database that cannot be read as it is', () => {
  test('is repaired when only CURRENT is gone: images and pods are there, and the owner is told', async () => {
    const left = await podWith('no-current');
    await berthd.kill9();
    const images = [...(await store.read()).keys()].filter((key) => key.startsWith('image/'));
    expect(images).not.toEqual([]);
    store.remove('CURRENT');
    await berthd.start();
    expect((await berthd.cri.images.listImages({})).images).toHaveLength(images.length);
    expect(await berthd.strays()).toEqual([expect.stringMatching(/^the store was damaged and repaired at .*CURRENT/)]);
    await berthd.forget();
    await goesWell(left, 'no-current');
  });

  test('is told of, and its log kept, when that is damaged', async () => {
    const left = await podWith('log');
    await berthd.kill9();
    const logs = store.files().filter((name) => name.endsWith('.log'));
    for (const file of logs) store.overwrite(file, (bytes) => bytes.fill(0x71, 0, 600));
    await berthd.start();
    const lines = await berthd.strays();
    expect(lines).toEqual([expect.stringMatching(/^the newest part of the store was damaged, .*damaged at byte 0/)]);
    await berthd.forget();
    await berthd.loadBusybox();
    await goesWell(left, 'log');
  });

  test('is repaired: what runs goes on, and the owner is told what is lost until he has seen it', async () => {
    const left = await podWith('repaired');
    await berthd.kill9();
    // Everything it knew is in these files.
    for (const file of store.files().filter((name) => /\.(log|ldb)$/.test(name)))
      store.overwrite(file, () => Buffer.alloc(9));
    for (const file of store.files().filter((name) => name.startsWith('MANIFEST'))) store.remove(file);
    await berthd.start();
    expect(running('repaired')).toHaveLength(1);
    const [line, ...more] = await berthd.strays();
    expect(more).toEqual([]);
    expect(line).toMatch(/^the store was damaged (and repaired|beyond repair).*images and stopped pods may be gone/);
    expect(line).toMatch(/known to be lost: .*manifests and configs of images that no record knew any more/);
    await berthd.kill9();
    await berthd.start();
    expect(await berthd.strays()).toEqual([line]);
    await berthd.loadBusybox();
    await goesWell(left, 'repaired');
  });
});

describe('a shim that is stopped when berthd starts', () => {
  test('costs its pod nothing and nobody else a moment; its own calls wait until it goes on', async () => {
    const other = await TestPod.run(berthd);
    const bystander = await other.start(shell(marked('bystander')));
    const left = await podWith('stopped');
    const { info } = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: left.pod.id, verbose: true });
    const { shimPid = 0 } = JSON.parse(info['info'] ?? '{}') as { shimPid?: number };
    expect(shimPid).toBeGreaterThan(1);
    await berthd.kill9();
    process.kill(shimPid, 'SIGSTOP');
    try {
      await berthd.start();
      expect((await left.container.status()).state).toBe('CONTAINER_RUNNING');
      expect(await left.pod.status()).toBe('SANDBOX_READY');
      expect(await bystander.sh('echo served')).toBe('served\n');
      expect(await berthd.strays()).toEqual([
        expect.stringContaining(
          `the shim of pod ${left.pod.id} (pid ${shimPid}) has not answered since berthd started`,
        ),
      ]);
      await delay(6_000);
      expect(running('stopped')).toHaveLength(1);
      const waiting = left.container.sh('echo here');
      await other.remove();
      process.kill(shimPid, 'SIGCONT');
      expect(await waiting).toBe('here\n');
    } finally {
      process.kill(shimPid, 'SIGCONT');
    }
    await goesWell(left, 'stopped');
  }, 60_000);
});

describe('berthd is killed while a container is made on a volume that does not answer', () => {
  let mount: HangingMount;

  beforeAll(async () => {
    mount = await HangingMount.mount(berthd);
  });

  afterAll(async () => {
    await mount.unmount();
  });

  test('the next berthd sees what hangs, serves everybody, and ends it when it can', async () => {
    const pod = await TestPod.run(berthd, { linux: { cgroup_parent: kubepods } });
    const mounts = [{ container_path: '/v', host_path: path.join(mount.mountpoint, 'data'), readonly: false }];
    mount.hang();
    const making = pod.create(shell('true', { mounts })).catch(() => undefined);
    const ofContainer = (): string[] =>
      berthd.node.cgroups().filter((group) => group.includes('-kubepods') && /[0-9a-f]{64}$/.test(group));
    await eventually('the child hangs', () => ofContainer().length > 0 && layers().length === 1);
    await delay(300);
    await berthd.kill9();
    await making;
    await berthd.start();
    expect((await berthd.cri.runtime.listContainers({})).containers).toEqual([]);
    const lines = await eventually('check sees it', async () => {
      const found = await berthd.strays();
      return found.length > 0 && found;
    });
    expect(lines.join('\n')).toMatch(/process that cannot be killed in .*-kubepods|undo half-made container/);
    expect(await pod.sh('echo other')).toBe('other\n');
    mount.answer();
    await eventually('nothing is left', async () => (await berthd.strays()).length === 0, 60_000);
    expect(ofContainer()).toEqual([]);
    expect(layers()).toEqual([]);
    await pod.remove();
  }, 120_000);

  const layers = (): string[] => readdirSync(path.join(berthd.root, 'containers'));
});
