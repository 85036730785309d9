import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { CniFiles, cniConfig } from './harness/cni.ts';
import { LimitBench } from './harness/limit-bench.ts';
import { shell, TestPod } from './harness/pods.ts';

// Files and programs of the owner's around their limits: a pod beside loses nothing, whatever they are.

const mebibyte = 1024 * 1024;
const kibibyte = 1024;
let bench: LimitBench;
let cni: CniFiles;
const plugin = 'printer';
const conf = (plugins: readonly object[] = [{ type: plugin }]): object => ({
  cniVersion: '1.0.0',
  name: 'net',
  plugins,
});
const taken = ['taken', 'taken', 'refused'];

beforeAll(async () => {
  bench = await LimitBench.start({ network: (node) => cniConfig(node) }, async (berthd) => {
    cni = new CniFiles(berthd);
    say('');
    await cni.use(conf());
  });
});
afterAll(() => bench.teardown());

/** The plugin prints a result, and then what the line does. */
function say(line: string): void {
  const result = JSON.stringify({ cniVersion: '1.0.0', ips: [{ address: '10.1.2.3/24' }] });
  cni.script(plugin, `[ $CNI_COMMAND = ADD ] || exit 0\nprintf %s '${result}'\n${line}`);
}
const resultBytes = (): number => JSON.stringify({ cniVersion: '1.0.0', ips: [{ address: '10.1.2.3/24' }] }).length;
const runPod = async (): Promise<void> => (await TestPod.run(bench.berthd)).remove();

describe('a network plugin', () => {
  afterEach(() => say(''));

  test('that prints 1 MiB is heard, one that prints more is not', async () => {
    const outcomes = await bench.row('output of a CNI plugin', mebibyte, (many) => {
      say(`head -c ${many - resultBytes()} /dev/zero | tr '\\0' ' '`);
      return runPod();
    });
    expect(outcomes).toEqual(taken);
  });

  test.each(['cat /dev/zero', 'cat /dev/zero >&2'])(
    'that prints without end (%s) is ended, and said so',
    async (line) => {
      say(line);
      expect(await bench.outcomeOf(runPod())).toBe('refused');
    },
  );
});

test('a network configuration of 64 KiB', async () => {
  const outcomes: string[] = [];
  for (const many of [64 * kibibyte - 1, 64 * kibibyte, 64 * kibibyte + 1]) {
    const text = JSON.stringify(conf([{ type: plugin, pad: '' }]));
    const pad = 'x'.repeat(many - text.length);
    // What cannot be used leaves the node without a network, and those that have one with it.
    await cni.use(conf([{ type: plugin, pad }])).catch(() => undefined);
    outcomes.push(await bench.outcomeOf(runPod()));
  }
  bench.note('network configuration', 64 * kibibyte, outcomes);
  expect(outcomes).toEqual(['taken', 'taken', expect.stringMatching(/is larger than 65536 bytes/)]);
  await cni.use(conf());
}, 60_000);

describe('berthd’s own configuration', () => {
  const dropIn = (): string => path.join(path.dirname(bench.berthd.configFile), 'config.d', '10-limit.toml');
  const reload = async (): Promise<string> => (await bench.berthd.berth(['config', 'reload'])).stdout;
  beforeAll(() => mkdirSync(path.dirname(dropIn())));
  afterEach(() => bench.berthd.node.run(['rm', '-f', dropIn()]));

  test('of 1 MiB is read, a longer one refused', async () => {
    const answers: string[] = [];
    for (const many of [mebibyte - 1, mebibyte, mebibyte + 1]) {
      writeFileSync(dropIn(), `#${' '.repeat(many - 1)}`);
      const answer = await reload();
      answers.push(/is larger than/.test(answer) ? 'refused' : 'taken');
      await bench.expectNothingLost();
    }
    bench.note('a configuration file', mebibyte, answers);
    expect(answers).toEqual(taken);
  });

  test.each(['mkfifo', 'ln -s /dev/zero', 'mkdir'])(
    'that is made by %s is refused by name, and nobody waits',
    async (made) => {
      await bench.berthd.node.run(['sh', '-c', `rm -rf ${dropIn()}; ${made} ${dropIn()}`]);
      expect(await reload()).toContain(`${dropIn()} is not a regular file`);
      await bench.expectNothingLost();
      await bench.berthd.node.run(['rm', '-rf', dropIn()]);
    },
  );
});

describe('seccomp', () => {
  let pod: TestPod;
  const file = (): string => path.join(bench.berthd.node.directory, 'profile.json');
  beforeAll(async () => {
    pod = await TestPod.run(bench.berthd);
  });

  async function withProfile(profile: object): Promise<void> {
    writeFileSync(file(), JSON.stringify(profile));
    const seccomp = { profile_type: 'Localhost' as const, localhost_ref: file() };
    const container = await pod.create(shell('true', { linux: { security_context: { seccomp } } }));
    try {
      await container.start();
      await container.exited();
    } finally {
      await container.remove();
    }
  }

  /** Each refuses one value of an argument. */
  const withRules = (many: number): Promise<void> =>
    withProfile({
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: Array.from({ length: many }, (_, at) => ({
        ...{ names: ['personality'], action: 'SCMP_ACT_ERRNO' },
        args: [{ index: 0, value: at + 1000, op: 'SCMP_CMP_EQ' }],
      })),
    });

  test('a filter of 4075 instructions runs, a longer one is refused with its length', async () => {
    const told = /(\d+) instructions, more than 4075/;
    const rules = 4090;
    const failure = await withRules(rules).then(() => '', String);
    const others = Number(told.exec(failure)?.[1]) - rules;
    const outcomes = await bench.row('instructions of a seccomp filter', 4075, (many) => withRules(many - others));
    expect(outcomes).toEqual(taken);
  }, 60_000);

  test('4096 rules are compiled, more are not; names that are repeated count once', async () => {
    const outcomes = await bench.row('rules of a seccomp profile', 4096, (many) =>
      withProfile({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: Array.from({ length: many }, (_, at) => `none${at}`), action: 'SCMP_ACT_ERRNO' }],
      }),
    );
    expect(outcomes).toEqual(taken);
    const names = Array<string>(100_000).fill('read');
    const repeated = withProfile({ defaultAction: 'SCMP_ACT_LOG', syscalls: [{ names, action: 'SCMP_ACT_ALLOW' }] });
    expect(await bench.outcomeOf(repeated)).toBe('taken');
  }, 60_000);
});
