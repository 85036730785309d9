import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { fill } from './harness/full-disk.ts';
import { writeImage } from './harness/image-archive.ts';
import { processes } from './harness/machine.ts';
import { buildImage } from './harness/made-image.ts';
import { podConfig } from './harness/pods.ts';
import { busybox } from './harness/paths.ts';
import { Registry } from './harness/registry.ts';
import { eventually } from './harness/wait.ts';

// Every call of a kubelet, with the state disk, the disk of `run`, or both full when it comes, but for a few pages: each of
// its writes in turn is then the one that finds no room. Nothing runs that is told otherwise, and with room again its retry
// succeeds. BERTH_FULL_DISK_PAGES=n leaves every number of pages below n.

const pagesLeft = process.env['BERTH_FULL_DISK_PAGES']
  ? Array.from({ length: Number(process.env['BERTH_FULL_DISK_PAGES']) }, (_, at) => at)
  : [0, 2];

let berthd: Berthd;
let archive: string;
let registry: Registry;
let pulled: string;
beforeAll(async () => {
  const config = 'reserve_mib = 2\n[timeouts]\nkill = "3s"\n';
  berthd = await startBerthd({ diskSize: '32m', runSize: '8m', config, logLevel: 'info' });
  await eventually('the reserve is there', () => existsSync(seen('reserve')));
  await berthd.loadBusybox();
  archive = writeImage(path.join(berthd.node.directory, 'other.tar'), {
    reference: other,
    layers: [[{ name: 'file', data: Buffer.alloc(100_000) }]],
  });
  // Its disk is not one of those that are full.
  registry = await Registry.start(berthd.node);
  pulled = `${registry.host}/pulled:1`;
  await registry.push('pulled:1', buildImage({ layers: [[{ name: 'pulled', data: 'x'.repeat(100_000) }]] }));
});
afterAll(async () => {
  await registry.close();
  await berthd.teardown();
});

const other = 'localhost/other:1';
const seen = (...names: string[]): string => path.join(`/proc/${berthd.node.pid}/root`, berthd.root, ...names);

/** What a kubelet knows of a pod it makes. */
interface Life {
  /** Seconds that its process sleeps: nobody else's has the same. */
  readonly token: string;
  readonly config: ReturnType<typeof podConfig>;
  pod: string;
  container: string;
}

type Step = readonly [name: string, run: (life: Life) => Promise<unknown>];

const { runtime, image } = { runtime: () => berthd.cri.runtime, image: () => berthd.cri.images };
const id = ({ container }: Life): { readonly container_id: string } => ({ container_id: container });
const podId = ({ pod }: Life): { readonly pod_sandbox_id: string } => ({ pod_sandbox_id: pod });
const shares = (count: string) => ({ cpu_shares: count });

const steps: readonly Step[] = [
  ['LoadImage', () => berthd.load(archive)],
  ['PullImage', () => image().pullImage({ image: { image: pulled } })],
  [
    'RunPodSandbox',
    async (life) => (life.pod = (await runtime().runPodSandbox({ config: life.config })).pod_sandbox_id),
  ],
  ['CreateContainer', async (life) => (life.container = await create(life))],
  ['StartContainer', (life) => runtime().startContainer(id(life))],
  ['ExecSync', (life) => runtime().execSync({ ...id(life), cmd: ['/bin/true'], timeout: '5' })],
  ['UpdateContainerResources', (life) => runtime().updateContainerResources({ ...id(life), linux: shares('700') })],
  [
    'UpdatePodSandboxResources',
    (life) => runtime().updatePodSandboxResources({ ...podId(life), resources: shares('700') }),
  ],
  [
    'UpdateRuntimeConfig',
    () => runtime().updateRuntimeConfig({ runtime_config: { network_config: { pod_cidr: '10.89.0.0/16' } } }),
  ],
  ['ReopenContainerLog', (life) => runtime().reopenContainerLog(id(life))],
  ['ContainerStats', (life) => runtime().containerStats(id(life))],
  ['StopContainer', (life) => runtime().stopContainer({ ...id(life), timeout: '0' })],
  ['RemoveContainer', (life) => runtime().removeContainer(id(life))],
  ['StopPodSandbox', (life) => runtime().stopPodSandbox(podId(life))],
  ['RemovePodSandbox', (life) => runtime().removePodSandbox(podId(life))],
  [
    'RemoveImage',
    async () => {
      for (const name of [other, pulled]) await image().removeImage({ image: { image: name } });
    },
  ],
];
const stepAt = (name: string): number => steps.findIndex(([other]) => other === name);

async function create({ pod, config, token }: Life): Promise<string> {
  const command = ['/bin/sh', '-c', `trap 'exit 5' TERM; sleep ${token} & wait`];
  const container = { metadata: { name: 'app', attempt: 0 }, image: { image: busybox }, command, log_path: 'app.log' };
  const made = await runtime().createContainer({ pod_sandbox_id: pod, config: container, sandbox_config: config });
  return made.container_id;
}

let serial = 0;
const born = (): Life => ({ token: String(1_000_000 + serial++), config: podConfig(berthd), pod: '', container: '' });

async function play(life: Life, from: number, to = steps.length): Promise<void> {
  for (const [name, run] of steps.slice(from, to)) {
    await run(life).catch((error: unknown) => {
      throw new Error(`${name}: ${String(error)}`, { cause: error });
    });
  }
}

/** What is told is so: by the lists, by the processes, and by the directories of pods. */
async function expectTrue({ token }: Life): Promise<void> {
  const { containers } = await runtime().listContainers({});
  const running = containers.filter(({ state }) => state === 'CONTAINER_RUNNING').length;
  const there = (): number => processes(({ commandLine }) => commandLine.includes(`sleep ${token}`)).length;
  // The shell starts it a moment after it was started itself.
  await eventually(`${running} of ${token} run`, () => (running > 0 ? there() > 0 : there() === 0), 3_000);
  const { items } = await runtime().listPodSandbox({});
  const ready = items.filter(({ state }) => state === 'SANDBOX_READY').map((pod) => pod.id);
  const shims = readdirSync(path.join(`/proc/${berthd.node.pid}/root`, berthd.run, 'pods'));
  expect(shims.sort()).toEqual(ready.sort());
}

/** A call on a full disk: it succeeds, or says that there is no room. */
async function attempt([name, run]: Step, life: Life): Promise<boolean> {
  try {
    await run(life);
    return true;
  } catch (error) {
    expect(`${name}: ${String(error)}`).toMatch(/No space left|ENOSPC|RESOURCE_EXHAUSTED/);
    return false;
  }
}

const disks: readonly [string, () => readonly string[]][] = [
  ['the state disk', () => [berthd.root]],
  ['the disk of run', () => [berthd.run]],
  ['both', () => [berthd.root, berthd.run]],
];

/** What a full disk may not refuse. */
const always = ['ExecSync', 'ContainerStats', 'StopContainer', 'RemoveContainer', 'StopPodSandbox', 'RemovePodSandbox'];

describe.each(disks)('with %s full', (_name, directories) => {
  const fillAll = (pages: number): Disposable => {
    const all = new DisposableStack();
    for (const directory of directories()) all.use(fill(berthd, directory, pages));
    return all;
  };

  test.each(steps.map((step, at) => [step[0], at, step] as const))(
    '%s succeeds or is refused, and its retry succeeds',
    async (name, at, step) => {
      for (const pages of pagesLeft) {
        const life = born();
        await play(life, 0, at);
        {
          using _full = fillAll(pages);
          const done = await attempt(step, life);
          await expectTrue(life);
          if (always.includes(name) || name === 'StartContainer' || name === 'RemoveImage') expect(done).toBe(true);
          if (done && name !== 'CreateContainer') await step[1](life);
          await expectTrue(life);
        }
        await play(life, at);
        expect(await berthd.strays()).toEqual([]);
      }
    },
    120_000,
  );

  test.each(['StartContainer', 'StopContainer', 'RemoveContainer', 'StopPodSandbox', 'RemovePodSandbox'])(
    'berthd killed at %s comes back on the full disk, tells what is, and removes it',
    async (name) => {
      const at = stepAt(name);
      const step = steps[at];
      if (!step) throw new Error(`no step ${name}`);
      const life = born();
      await play(life, 0, at);
      {
        using _full = fillAll(0);
        const told = await attempt(step, life);
        expect(told).toBe(true);
        const before = await runtime().listContainers({});
        await berthd.kill9();
        await berthd.start();
        expect((await runtime().listContainers({})).containers.map((one) => [one.id, one.state])).toEqual(
          before.containers.map((one) => [one.id, one.state]),
        );
        await expectTrue(life);
        await play(life, at + 1, stepAt('RemoveImage'));
        await expectTrue(life);
        expect((await runtime().listPodSandbox({})).items).toEqual([]);
      }
      await play(life, stepAt('RemoveImage'));
      expect(await berthd.strays()).toEqual([]);
    },
    60_000,
  );
});
