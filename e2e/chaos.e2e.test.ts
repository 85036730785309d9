import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Berthd, startBerthd } from './harness/berthd.ts';
import { damageStore } from './harness/damage.ts';
import { processes, removeCgroups } from './harness/machine.ts';
import { busybox } from './harness/paths.ts';
import { shell, TestPod, type TestContainer } from './harness/pods.ts';
import { seededRandom } from './harness/random.ts';
import { StoreFiles } from './harness/store.ts';
import { delay, eventually } from './harness/wait.ts';

// berthd is killed at any step of running calls, and what it had written is damaged before the next one starts. Whatever
// that does: nothing runs unlisted, nothing twice, nothing is listed as running that does not run, no running container
// loses its files, and everything can be removed without a trace.
//
//     make chaos SEEDS=300           by hand
//     make chaos SEEDS=1 FROM=4711   one seed alone

const count = Number(process.env['BERTH_SEEDS'] ?? 20);
const first = Number(process.env['BERTH_SEED'] || Date.now() % 1_000_000);

let berthd: Berthd;
let store: StoreFiles;
let kubepods: string;

beforeAll(async () => {
  berthd = await startBerthd({ logLevel: 'info' });
  store = new StoreFiles(berthd.root);
  kubepods = `/${berthd.node.cgroupPrefix}-kubepods/burstable`;
});
afterAll(async () => {
  // A newer berthd's records of images stay for ever (`isNoImage`).
  await berthd.kill9();
  store.removeAll();
  await berthd.start();
  await berthd.forget();
  // The parents of pods are a kubelet's, who removes them.
  removeCgroups(berthd.node.cgroups().filter((group) => group.includes('-kubepods')));
  await berthd.teardown();
}, 120_000);

test.each(Array.from({ length: count }, (_, at) => first + at))(
  'seed %i',
  async (seed) => {
    const story: string[] = [];
    try {
      await oneLife(seed, story);
    } catch (error) {
      const again = `make chaos SEEDS=1 FROM=${seed}`;
      throw new Error(`seed ${seed} (${again})\n${story.join('\n')}\nberthd's log: ${berthd.logFile}`, {
        cause: error,
      });
    } finally {
      await cleanUp();
    }
  },
  120_000,
);

async function oneLife(seed: number, story: string[]): Promise<void> {
  const random = seededRandom(seed);
  if (!(await hasImage())) await berthd.loadBusybox();
  const marks = new Marks(seed);
  const pods: TestPod[] = [];
  const containers: TestContainer[] = [];
  for (let at = 0; at < 2 + Math.floor(random() * 2); at++) {
    const pod = await TestPod.run(berthd, random() < 0.7 ? { linux: { cgroup_parent: `${kubepods}/pod${at}` } } : {});
    pods.push(pod);
    containers.push(await pod.start(marks.next()));
    if (random() < 0.4) containers.push(await pod.create(marks.next()));
  }
  const calls = underWay(random, marks, pods, containers, story);
  await delay(random() * 200);
  await berthd.kill9();
  await Promise.all(calls);
  story.push(...(await damageStore(random, store)));
  await berthd.start();
  await eventually('what is listed is what runs', () => agree(marks), 15_000);
  await allAnswer(marks);
  // Once more from what was written now.
  if (random() < 0.3) {
    await berthd.kill9();
    await berthd.start();
    await eventually('the same after another start', () => agree(marks), 15_000);
  }
  await berthd.removeAllPods();
  await berthd.forget();
  await eventually(
    'nothing is left',
    async () => {
      const left = [...(await berthd.strays()).filter(isNoImage), ...marks.running().keys(), ...ids('')];
      if (left.length > 0) throw new Error(left.join('\n'));
      return true;
    },
    15_000,
  );
}

/** Images stay, and so do records of them that a newer berthd wrote. */
const isNoImage = (line: string): boolean => !/^record (image|layer|node)\/.*: written by a newer berthd/.test(line);

/** Some calls that berthd's end cuts short. */
function underWay(
  random: () => number,
  marks: Marks,
  pods: readonly TestPod[],
  containers: readonly TestContainer[],
  story: string[],
): Promise<unknown>[] {
  const pod = (): TestPod => pods[Math.floor(random() * pods.length)] as TestPod;
  const container = (): TestContainer => containers[Math.floor(random() * containers.length)] as TestContainer;
  const verbs: Readonly<Record<string, () => Promise<unknown>>> = {
    run: async () => (await TestPod.run(berthd)).start(marks.next()),
    start: () => pod().start(marks.next()),
    create: () => pod().create(marks.next()),
    exec: () => container().exec(['/bin/sh', '-c', 'sleep 0.1']),
    'stop container': () => container().stop(0),
    'remove container': () => container().remove(),
    'stop pod': () => pod().stop(),
    'remove pod': () => pod().remove(),
    load: () => berthd.loadBusybox(),
  };
  return Array.from({ length: 1 + Math.floor(random() * 4) }, () => {
    const names = Object.keys(verbs);
    const name = names[Math.floor(random() * names.length)] ?? '';
    story.push(`under way: ${name}`);
    return (verbs[name]?.() ?? Promise.resolve()).catch(() => undefined);
  });
}

/** Throws what differs. */
async function agree(marks: Marks): Promise<true> {
  const { containers } = await berthd.cri.runtime.listContainers({});
  const { items } = await berthd.cri.runtime.listPodSandbox({});
  const living = marks.running();
  const said = containers
    .filter(({ state }) => state === 'CONTAINER_RUNNING')
    .map(({ labels }) => labels['mark'] ?? '')
    .sort();
  expect(said).toEqual([...living.keys()].sort());
  expect([...living.values()].filter((pids) => pids.length !== 1)).toEqual([]);
  expect(new Set(containers.map(({ id }) => id)).size).toBe(containers.length);
  // Shims, and groups of containers wherever they are.
  const known = new Set([...items.map(({ id }) => id), ...containers.map(({ id }) => id)]);
  expect(ids('').filter((id) => !known.has(id))).toEqual([]);
  return true;
}

/** No layer was taken from under a container. */
async function allAnswer(marks: Marks): Promise<void> {
  const { containers } = await berthd.cri.runtime.listContainers({ filter: { state: { state: 'CONTAINER_RUNNING' } } });
  for (const { id, labels } of containers) {
    const cmd = ['/bin/sh', '-c', 'cat /own && ls /bin/busybox && cat /etc/hosts >/dev/null'];
    const reply = await berthd.cri.runtime.execSync({ container_id: id, cmd, timeout: '10' });
    expect([labels['mark'], reply.exit_code, reply.stdout.toString()]).toEqual([
      labels['mark'],
      0,
      'mine\n/bin/busybox\n',
    ]);
  }
  expect(containers.length).toBe(marks.running().size);
}

/** Ids that have control groups. */
function ids(below: string): string[] {
  const names = berthd.node.cgroups().map((group) => path.basename(group));
  return [...new Set(names.filter((name) => /^[0-9a-f]{64}$/.test(name) && name.startsWith(below)))];
}

/** Containers whose commands can be told apart among the machine's processes. */
class Marks {
  readonly #prefix: string;
  #next = 0;

  constructor(seed: number) {
    this.#prefix = `MARK=${berthd.node.id}-${seed}-`;
  }

  next(): ReturnType<typeof shell> {
    const mark = `${this.#prefix}${this.#next++}`;
    return shell(`${mark}; echo mine > /own; while :; do sleep 1; done`, { labels: { mark } });
  }

  /** Pids by mark. */
  running(): Map<string, number[]> {
    const found = new Map<string, number[]>();
    for (const { pid, mark } of processes((each) => each.commandLine.includes(this.#prefix)).map((each) => ({
      pid: each.pid,
      mark: /MARK=[^;]*/.exec(each.commandLine)?.[0] ?? '',
    }))) {
      found.set(mark, [...(found.get(mark) ?? []), pid]);
    }
    return found;
  }
}

async function hasImage(): Promise<boolean> {
  const { image } = await berthd.cri.images.imageStatus({ image: { image: busybox } });
  return image !== null;
}

/** The next seed begins with nothing, whatever became of this one. */
async function cleanUp(): Promise<void> {
  if (berthd.dead) {
    await berthd.start().catch(async () => {
      store.removeAll();
      await berthd.start();
    });
  }
  await berthd.removeAllPods();
  await berthd.forget();
}
