import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ContainerConfig } from '#cri-api/gen/runtime/v1/ContainerConfig';
import type { PodSandboxConfig } from '#cri-api/gen/runtime/v1/PodSandboxConfig';
import { callAdmin } from './harness/admin.ts';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { shell, TestPod, type TestContainer } from './harness/pods.ts';

// Each limit of docs/limits.md from outside: one below, at it, one above. Whatever the answer is, nobody else loses a call.

let berthd: Berthd;
let pid: number;
let neighbour: TestContainer;
let pod: TestPod;
let running: TestContainer;
const table: string[] = [];

beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pid = berthd.pid;
  neighbour = await (await TestPod.run(berthd)).start(shell('sleep 10000'));
  pod = await TestPod.run(berthd);
  running = await pod.start(shell('sleep 10000'));
});
beforeEach(() => expectNothingLost());
afterAll(async () => {
  process.stdout.write(`limit | value | below | at | above\n${table.join('\n')}\n`);
  await berthd.teardown();
});

async function expectNothingLost(): Promise<void> {
  expect(await neighbour.sh('echo here')).toBe('here\n');
  expect((await neighbour.status()).state).toBe('CONTAINER_RUNNING');
  expect(berthd.dead).toBe(false);
  expect(berthd.pid).toBe(pid);
}

const text = (bytes: number): string => 'x'.repeat(bytes);
const deep = (bytes: number): string => `/${text(99)}`.repeat(Math.floor(bytes / 100)).padEnd(bytes, 'x');
const list = <T>(entries: number, entry: T): T[] => Array<T>(entries).fill(entry);

async function create(config: ContainerConfig): Promise<void> {
  await (await pod.create({ ...shell('true'), ...config })).remove();
}

async function run(config: PodSandboxConfig): Promise<void> {
  await (await TestPod.run(berthd, config)).remove();
}

const mountOf = (container_path: string) => ({ host_path: berthd.node.directory, container_path });

/** Limit, its value, and a call that has so much of it. */
const rows: readonly [string, number, (many: number) => Promise<unknown>][] = [
  ['environment variable', 131_071, (many) => create({ envs: [{ key: 'V', value: Buffer.alloc(many - 2, 'x') }] })],
  ['argument of a command', 131_071, (many) => create({ args: [text(many)] })],
  ['argument of an exec', 131_071, (many) => running.exec(['true', text(many)])],
  ['labels of a pod', 1024 * 1024, (many) => run({ labels: { k: text(many - 1) } })],
  ['annotations of a pod', 1024 * 1024, (many) => run({ annotations: { k: text(many - 1) } })],
  ['annotations of a container', 1024 * 1024, (many) => create({ annotations: { k: text(many - 1) } })],
  ['name of a pod', 4096, (many) => run({ metadata: { name: text(many), namespace: 'n', uid: 'u', attempt: 0 } })],
  ['name of a container', 4096, (many) => create({ metadata: { name: text(many), attempt: 0 } })],
  ['image name', 4096, (many) => create({ image: { image: text(many) } })],
  ['hostname', 64, (many) => run({ hostname: text(many) })],
  [
    'sysctls',
    250,
    (many) =>
      run({ linux: { sysctls: Object.fromEntries(list(many, 0).map((_, at) => [`net.core.none${at}`, '1'])) } }),
  ],
  ['dns searches', 1024, (many) => run({ dns_config: { searches: list(many, 'a') } })],
  ['groups', 65_536, (many) => create({ linux: { security_context: { supplemental_groups: list(many, '7') } } })],
  ['working_dir', 4095, (many) => create({ working_dir: deep(many) })],
  ['container_path', 4095, (many) => create({ mounts: [mountOf(deep(many))] })],
  ['name in container_path', 255, (many) => create({ mounts: [mountOf(`/mnt/${text(many)}`)] })],
  ['name in log_path', 255, (many) => create({ log_path: text(many) })],
  [
    'log_path with log_directory',
    4095,
    (many) => create({ log_path: deep(many - (pod.config.log_directory ?? '').length) }),
  ],
  ['mount options', 1024, (many) => create({ mounts: [{ ...mountOf('/mnt'), mount_options: list(many, 'noexec') }] })],
  [
    'unified resources',
    256,
    (many) =>
      create({ linux: { resources: { unified: Object.fromEntries(list(many, 0).map((_, at) => [`f${at}`, '1'])) } } }),
  ],
  ['cpuset_cpus', 65_536, (many) => create({ linux: { resources: { cpuset_cpus: text(many) } } })],
  [
    'cpuset_cpus of an update',
    65_536,
    (many) =>
      berthd.cri.runtime.updateContainerResources({ container_id: running.id, linux: { cpuset_cpus: text(many) } }),
  ],
  ['masked paths', 1024, (many) => create({ linux: { security_context: { masked_paths: list(many, '/none') } } })],
];

/** What says something about Berth, not about the request; what the kernel refuses is INTERNAL. */
const ours = /UNAVAILABLE|UNKNOWN|ABORTED|DEADLINE_EXCEEDED|is a bug/;

/** "taken", or the status of the refusal; a sentence about the limit makes it "refused". */
async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'taken';
  } catch (error) {
    const { status, details } = error as { status?: string; details?: string };
    const limited = /at most \d+ are possible|executes nothing with more than/.test(details ?? '');
    return limited && status === 'INVALID_ARGUMENT'
      ? 'refused'
      : `other: ${status} ${(details ?? String(error)).slice(0, 60)}`;
  }
}

describe('each limit, below it, at it and above it', () => {
  test.each(rows)(
    '%s (%i)',
    async (limit, value, call) => {
      const outcomes: string[] = [];
      for (const many of [value - 1, value, value + 1]) {
        outcomes.push(await outcomeOf(call(many)));
        await expectNothingLost();
      }
      table.push([limit, value, ...outcomes].join(' | '));
      const [below, at, above] = outcomes;
      expect(above).toBe('refused');
      // The kernel, or what the value means, may refuse it all the same; the limit does not.
      expect(below).not.toBe('refused');
      expect(at).not.toBe('refused');
      for (const outcome of outcomes) expect(outcome).not.toMatch(ours);
    },
    60_000,
  );

  test('a seccomp profile of 1 MiB is read, a longer one refused', async () => {
    const file = path.join(berthd.node.directory, 'profile.json');
    const outcomes: (string | undefined)[] = [];
    for (const bytes of [1_048_575, 1_048_576, 1_048_577]) {
      writeFileSync(file, '{"defaultAction":"SCMP_ACT_ALLOW"}'.padEnd(bytes));
      const seccomp = { profile_type: 'Localhost' as const, localhost_ref: file };
      const call = create({ linux: { security_context: { seccomp } } });
      outcomes.push(
        await call.then(
          () => 'taken',
          (error: unknown) => (error as { status?: string }).status,
        ),
      );
      await expectNothingLost();
    }
    table.push(['seccomp profile', 1_048_576, ...outcomes].join(' | '));
    expect(outcomes).toEqual(['taken', 'taken', 'RESOURCE_EXHAUSTED']);
  });

  test('output of an exec ends at its limit, and is whole below it', async () => {
    const limit = 16 * 1024 * 1024 - 64 * 1024;
    const lengths: number[] = [];
    for (const bytes of [limit - 1, limit, limit + 1]) {
      lengths.push((await running.sh(`head -c ${bytes} /dev/zero`)).length);
      await expectNothingLost();
    }
    table.push(['output of an exec', limit, ...lengths].join(' | '));
    expect(lengths).toEqual([limit - 1, limit, limit]);
  }, 60_000);

  test('the body of an admin call', async () => {
    const statuses: number[] = [];
    for (const bytes of [65_535, 65_536, 65_537]) {
      const frame = JSON.stringify({ path: '' }).length;
      const { lines } = await callAdmin(berthd.adminSocket, 'POST', '/images/load', {
        path: `/${text(bytes - frame - 1)}`,
      });
      statuses.push(JSON.stringify(lines).includes('longer than 65536') ? 1 : 0);
      await expectNothingLost();
    }
    table.push(
      ['body of an admin call', 65_536, ...statuses.map((refused) => (refused ? 'refused' : 'read'))].join(' | '),
    );
    expect(statuses).toEqual([0, 0, 1]);
  });
});

const odd = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', '/', '..', '../..', '__proto__', 'constructor', '\0', '\ud800', '%s%n', 'a'.repeat(5000), '\n'),
);
const map = fc.array(fc.tuple(odd, odd), { maxLength: 300 }).map((pairs) => Object.fromEntries(pairs));
test('odd strings and long lists cost nobody anything (twenty seeds)', async () => {
  const requests = fc.sample(
    fc.record({ annotations: map, labels: map, words: fc.array(odd, { maxLength: 200 }), one: odd, two: odd }),
    { seed: 8, numRuns: 20 },
  );
  mkdirSync(path.join(berthd.node.directory, 'odd'), { recursive: true });
  for (const { annotations, labels, words, one, two } of requests) {
    const asPod = await outcomeOf(run({ annotations, labels, hostname: one, dns_config: { searches: words } }));
    const asContainer = await outcomeOf(
      create({
        ...{ annotations, labels, working_dir: one },
        envs: words.map((key) => ({ key, value: Buffer.from(two) })),
        args: words,
        mounts: [{ host_path: path.join(berthd.node.directory, 'odd'), container_path: two }],
        linux: { security_context: { run_as_username: one, masked_paths: words.slice(0, 20) } },
      }),
    );
    const asExec = await outcomeOf(running.exec(['true', ...words]));
    for (const outcome of [asPod, asContainer, asExec]) expect(outcome).not.toMatch(ours);
    await expectNothingLost();
  }
}, 120_000);
