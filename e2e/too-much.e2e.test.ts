import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { shell, TestPod, type TestContainer } from './harness/pods.ts';
import { eventually } from './harness/wait.ts';

// One pod's author asks for more than anything can have: he is told so, and nobody else loses anything.

let berthd: Berthd;
let pid: number;
let neighbour: TestContainer;
let pod: TestPod;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pid = berthd.pid;
  neighbour = await (await TestPod.run(berthd)).start(shell('sleep 10000'));
});
beforeEach(async () => {
  pod = await TestPod.run(berthd);
});
afterAll(() => berthd.teardown());

const kilobytes = (many: number): Buffer => Buffer.alloc(many * 1000, 'x');
const envs = (count: number, each: number) =>
  Array.from({ length: count }, (_, at) => ({ key: `V${at}`, value: kilobytes(each) }));

/** The pod goes, and whoever is beside it has noticed nothing. */
async function expectNothingLost(): Promise<void> {
  await pod.stop();
  expect(await neighbour.sh('echo here')).toBe('here\n');
  expect((await neighbour.status()).state).toBe('CONTAINER_RUNNING');
  await pod.remove();
  expect(berthd.dead).toBe(false);
  expect(berthd.pid).toBe(pid);
}

describe('an environment', () => {
  test('that no kernel executes is refused by name, and the pod stops as any other', async () => {
    const create = pod.create(shell('true', { envs: envs(45, 100) }));
    await expect(create).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      details: expect.stringMatching(/the command and its environment take \d+ bytes, .* more than 2097152/) as unknown,
    });
    await expectNothingLost();
  });

  test('of which one variable is too long is refused by its name', async () => {
    await expect(pod.create(shell('true', { envs: envs(1, 200) }))).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      details: expect.stringContaining('environment variable V0 has 200003 bytes') as unknown,
    });
    await expectNothingLost();
  });

  test('that the kernel executes is run, also in an exec beside it', async () => {
    const container = await pod.start(shell('sleep 10000', { envs: envs(19, 100) }));
    expect(await container.sh('echo ${#V0} ${#V18}')).toBe('100000 100000\n');
    await expectNothingLost();
  });
});

describe('a command of an exec', () => {
  test('that no kernel executes is refused, and a long one is run', async () => {
    const container = await pod.start(shell('sleep 10000'));
    const long = kilobytes(100).toString();
    const many = await container.exec(['/bin/sh', '-c', 'echo $#', 'sh', ...Array<string>(19).fill(long)]);
    expect(many.stdout).toBe('19\n');
    await expect(container.exec(['echo', ...Array<string>(45).fill(long)])).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      details: expect.stringContaining('46 arguments') as unknown,
    });
    await expectNothingLost();
  });
});

describe('terminals', () => {
  const inTerminal = async ({ id }: TestContainer): Promise<string> => {
    const command = berthd.crictlCommand(['exec', '-i', '-t', id, 'tty']).join(' ');
    return (await berthd.node.run(['script', '-qec', command, '/dev/null'])).stdout;
  };

  test('end for one container at 1024: it gets execs without one, and others have theirs', async () => {
    const seven = [3, 4, 5, 6, 7, 8, 9].map((fd) => `${fd}<>/dev/ptmx`).join(' ');
    const shells = `i=0; while [ $i -lt 146 ]; do (exec ${seven}; exec sleep 10000) & i=$((i + 1)); done`;
    const greedy = await pod.start(shell(`${shells}; exec 3<>/dev/ptmx 4<>/dev/ptmx; exec sleep 10000`));
    await eventually('it has 1024 open', async () => (await greedy.sh('ls /dev/pts')).split('\n').length === 1024 + 2);
    expect(await greedy.exec(['/bin/sh', '-c', ': <>/dev/ptmx'])).toMatchObject({
      ...{ code: 1, stderr: expect.stringContaining('No space left on device') as unknown },
    });
    expect(await inTerminal(greedy)).toContain('ENOSPC');
    expect(await greedy.sh('echo here')).toBe('here\n');
    expect(await inTerminal(neighbour)).toContain('/dev/pts/0');
    await expectNothingLost();
  });
});

test('after all of this nothing is left over', async () => {
  await berthd.removeAllPods();
  expect(await berthd.strays()).toEqual([]);
});
