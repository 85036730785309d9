import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ContainerConfig } from '#cri-api/gen/runtime/v1/ContainerConfig';
import { LimitBench } from './harness/limit-bench.ts';
import { shell, TestPod, type TestContainer } from './harness/pods.ts';

// What is asked for at a limit is made and runs; one above it is refused. A pod beside it loses nothing.

let bench: LimitBench;
let pod: TestPod;
beforeAll(async () => {
  bench = await LimitBench.start();
  pod = await TestPod.run(bench.berthd);
});
afterAll(() => bench.teardown());

const taken = ['taken', 'taken', 'refused'];
const list = <T>(entries: number, make: (at: number) => T): T[] => Array.from({ length: entries }, (_, at) => make(at));

/** Runs to its end; anything but exit code 0 is an error. */
async function run(config: ContainerConfig): Promise<void> {
  const container = await pod.create({ ...shell('true'), ...config });
  try {
    await container.start();
    const { exit_code: code, message } = await container.exited();
    if (code !== 0) throw new Error(`exit code ${code}: ${message}`);
  } finally {
    await container.remove();
  }
}

/** What an error says of the size that was asked for. */
async function sizeToldBy(call: Promise<unknown>, sentence: RegExp): Promise<number> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return Number(sentence.exec(String(error))?.[1]);
}

describe('what execve(2) takes, to the byte', () => {
  const limit = 2 * 1024 * 1024;
  const each = 100_000;
  const told = /take (\d+) bytes/;
  /** Of so many bytes together, as the kernel counts: each with a zero and a pointer. */
  const texts = (bytes: number): string[] =>
    list(Math.ceil(bytes / each), (at) => 'x'.repeat(Math.min(each, bytes - at * each) - 9));
  const variables = (bytes: number) => ({
    envs: texts(bytes).map((text, at) => {
      const key = `V${String(at).padStart(3, '0')}`;
      return { key, value: Buffer.from(text.slice(key.length + 1)) };
    }),
  });

  test.each([
    ['/bin/sh', 'named by its path'],
    ['sh', 'found by PATH'],
  ])('of a container, whose command is %s', async (command) => {
    const config = (bytes: number) => ({ command: [command, '-c', 'true'], ...variables(bytes) });
    const others = (await sizeToldBy(run(config(limit)), told)) - limit;
    expect(others).toBeGreaterThan(0);
    const outcomes = await bench.row(`execve of ${command}`, limit, (many) => run(config(many - others)));
    expect(outcomes).toEqual(taken);
  });

  test('of an exec', async () => {
    const container = await pod.start(shell('sleep 10000'));
    const call = async (bytes: number): Promise<void> => {
      const { code } = await container.exec(['/bin/true', ...texts(bytes)]);
      if (code !== 0) throw new Error(`exit code ${code}`);
    };
    const others = (await sizeToldBy(call(limit), told)) - limit;
    expect(await bench.row('execve of an exec', limit, (many) => call(many - others))).toEqual(taken);
    await container.remove();
  });
});

test('4096 devices', async () => {
  const devices = (many: number) => ({
    devices: list(many, (at) => ({ host_path: '/dev/null', container_path: `/dev/n${at}`, permissions: 'r' })),
  });
  expect(await bench.row('devices', 4096, (many) => run(devices(many)))).toEqual(taken);
});

test('10000 mounts', async () => {
  const mounts = (many: number) => ({
    mounts: list(many, (at) => ({ host_path: bench.berthd.node.directory, container_path: `/mnt/${at % 100}` })),
  });
  expect(await bench.row('mounts', 10_000, (many) => run(mounts(many)))).toEqual(taken);
}, 60_000);

test('all texts and lists of one config', async () => {
  const limit = 12 * 1024 * 1024;
  const deep = `/${'x'.repeat(99)}`.repeat(40);
  const config = (bytes: number): ContainerConfig => ({
    linux: { security_context: { masked_paths: list(1024, () => deep), readonly_paths: list(1024, () => deep) } },
    command: ['true', 'x'.repeat(bytes)],
  });
  const told = /its texts and lists have (\d+) bytes/;
  // Above the limit with the paths, and below what one message may have.
  const others = (await sizeToldBy(run(config(limit / 2)), told)) - limit / 2;
  const outcomes = await bench.row('texts and lists of a config', limit, (many) => run(config(many - others)));
  // The kernel executes nothing with so long an argument: what it says comes later.
  expect(outcomes).toEqual(['refused', 'refused', 'refused']);
  expect(await sizeToldBy(run(config(limit - others)), /has (\d+) bytes, the kernel executes/)).toBe(limit - others);
  expect(await sizeToldBy(run(config(limit - others + 1)), told)).toBe(limit + 1);
});

test('a log line of 16 KiB is one record, a longer one several, and one without end stops nobody', async () => {
  const limit = 16 * 1024;
  const print = (bytes: number): string => `head -c ${bytes} /dev/zero | tr '\\0' x; echo`;
  const container = await pod.start(shell([limit - 1, limit, limit + 1].map(print).join('; ')));
  await container.exited();
  const records = container.records().map(({ partial, text }) => `${partial ? 'P' : 'F'} ${text.trimEnd().length}`);
  bench.note('log line', limit, records);
  expect(records).toEqual([`F ${limit - 1}`, `F ${limit}`, `P ${limit}`, 'F 1']);
  const endless = await pod.start(shell('cat /dev/zero | tr "\\0" x | head -c 50000000; echo'));
  await bench.outcomeOf(endless.exited());
  expect(endless.output().length).toBe(50_000_001);
  for (const one of [container, endless]) await one.remove();
}, 60_000);

describe('lists around the 16 MiB that a kubelet receives', () => {
  const limit = 16 * 1024 * 1024;
  const service = '/runtime.v1.RuntimeService';
  const none = (): Buffer => Buffer.alloc(0);
  let client: grpc.Client;
  beforeAll(() => {
    const options = { 'grpc.max_receive_message_length': limit, 'grpc.default_authority': 'localhost' };
    client = new grpc.Client(`unix://${bench.berthd.socket}`, grpc.credentials.createInsecure(), options);
  });
  afterAll(() => client.close());

  const lengthOf = (name: string): Promise<number> =>
    new Promise((resolve, reject) =>
      client.makeUnaryRequest(
        `${service}/${name}`,
        none,
        (answer) => answer.length,
        null,
        (error, length = 0) => (error ? reject(error) : resolve(length)),
      ),
    );
  const lengthsOf = async (name: string): Promise<readonly number[]> => {
    const lengths: number[] = [];
    const stream = client.makeServerStreamRequest(`${service}/${name}`, none, (answer) => answer.length, null);
    for await (const length of stream) lengths.push(length as number);
    return lengths;
  };

  test('the answer is sent whatever it is; what does not fit into one message comes by StreamContainers', async () => {
    const mebibyte = 1024 * 1024;
    const created: TestContainer[] = [];
    const fat = async (bytes: number): Promise<void> => {
      created.push(await pod.create({ ...shell('true'), annotations: { k: 'x'.repeat(bytes) } }));
    };
    for (let at = 0; at < 15; at++) await fat(mebibyte - 1);
    await fat(500_000);
    const rest = limit - (await lengthOf('ListContainers'));
    await created.pop()?.remove();
    const outcomes: unknown[] = [];
    for (const more of [-1, 0, 1]) {
      await fat(500_000 + rest + more);
      outcomes.push(await lengthOf('ListContainers').catch((error: unknown) => (error as grpc.ServiceError).code));
      await bench.expectNothingLost();
      const pieces = await lengthsOf('StreamContainers');
      expect(pieces.reduce((sum, length) => sum + length)).toBe(limit + more);
      expect(Math.max(...pieces)).toBeLessThan(2 * mebibyte);
      await created.pop()?.remove();
    }
    bench.note('ListContainers', limit, outcomes);
    expect(outcomes).toEqual([limit - 1, limit, grpc.status.RESOURCE_EXHAUSTED]);
    for (const container of created) await container.remove();
  });
});
