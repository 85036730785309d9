import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { added, fdsOf } from './harness/machine.ts';
import { crictlBinary, top } from './harness/paths.ts';
import { shell, TestPod, type TestContainer } from './harness/pods.ts';
import { eventually } from './harness/wait.ts';

// Exec, attach and port-forward by the real crictl, over both of its transports.

/** Megabytes through each stream; a long run takes 1024. */
const megabytes = Number(process.env['BERTH_STREAM_MEGABYTES'] ?? '64');
/** Of berthd, for all that is on its way in one stream. */
const memoryAllowance = 96 * 1024 * 1024;

let berthd: Berthd;
let pod: TestPod;
let container: TestContainer;
beforeAll(async () => {
  berthd = await startBerthd({ config: '[streaming]\ntoken_ttl = "5s"' });
  await berthd.loadBusybox();
  pod = await TestPod.run(berthd);
  container = await pod.start(shell('sleep 1000000'));
});
afterAll(() => berthd.teardown());

const crictl = (...args: readonly string[]): readonly string[] => [
  ...[crictlBinary, '--config', '/dev/null', '--timeout', '30s'],
  ...['--runtime-endpoint', `unix://${berthd.socket}`, '--image-endpoint', `unix://${berthd.socket}`],
  ...args,
];

/** A word of a shell line. */
const quoted = (argv: readonly string[]): string => argv.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');

const inShell = (line: string, timeoutMs = 120_000) => berthd.node.run(['bash', '-c', line], { timeoutMs });

async function metric(name: string): Promise<number[]> {
  const script = `exec 3<>/dev/tcp/127.0.0.1/9478; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`;
  const { stdout } = await inShell(script);
  return [...stdout.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))].map(([, value]) => Number(value));
}

function memoryOf(pid: number, line: 'VmRSS' | 'VmHWM'): number {
  const match = new RegExp(`^${line}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1]) * 1024;
}

/** The most memory berthd took while this ran, beyond what it had. */
async function growthDuring(work: () => Promise<void>): Promise<number> {
  const { pid } = berthd;
  // 5: forget the peak.
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  const before = memoryOf(pid, 'VmRSS');
  await work();
  return memoryOf(pid, 'VmHWM') - before;
}

describe.each(['spdy', 'websocket'])('over %s', (transport) => {
  const exec = (...args: readonly string[]) => crictl('exec', '--transport', transport, ...args);

  test('exec gives output, errors and the exit code', async () => {
    const script = 'echo out; echo err >&2; exit 3';
    const { code, stdout, stderr } = await berthd.node.run(exec(container.id, 'sh', '-c', script));
    expect(stdout).toBe('out\n');
    expect(stderr).toMatch(/^err$/m);
    expect(stderr).toMatch(/exit code 3/);
    expect(code).not.toBe(0);
    expect((await berthd.node.run(exec(container.id, 'true'))).code).toBe(0);
  });

  test('a command that is not there is told', async () => {
    const { code, stderr } = await berthd.node.run(exec(container.id, '/no/such/command'));
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/no\/such\/command/);
  });

  test('exec -i hands stdin over, and its end', async () => {
    const input = 'one\ntwo\n';
    const { code, stdout } = await berthd.node.run(exec('-i', container.id, 'sh', '-c', 'cat; echo end'), { input });
    expect([code, stdout]).toEqual([0, 'one\ntwo\nend\n']);
  });

  test('exec -it has a terminal of the size of its own', async () => {
    await expectTerminal(exec('-it', container.id, 'sh', '-c', terminalScript));
  });

  test(
    `${megabytes} MB through exec arrive as they were sent, and berthd does not grow`,
    async () => {
      const file = path.join(berthd.node.directory, 'bytes');
      const hash = createHash('sha256');
      for (let count = 0; count < megabytes; count++) {
        const piece = randomBytes(1024 * 1024);
        hash.update(piece);
        writeFileSync(file, piece, { flag: 'a' });
      }
      const growth = await growthDuring(async () => {
        const line = `${quoted(exec('-i', container.id, 'cat'))} <${file} | sha256sum`;
        expect((await inShell(line, 20_000 + 1000 * megabytes)).stdout).toBe(`${hash.digest('hex')}  -\n`);
      });
      rmSync(file);
      expect(growth).toBeLessThan(memoryAllowance);
    },
    60_000 + 2000 * megabytes,
  );

  test(
    `${megabytes} MB through port-forward arrive as they were sent, and berthd does not grow`,
    async () => {
      const echo = await pod.start(shell('nc -ll -p 7000 -e cat'));
      const port = transport === 'spdy' ? 17_000 : 17_001;
      const forward = crictl('port-forward', '--transport', transport, pod.id, `${port}:7000`);
      const child = berthd.node.spawn(forward, ['ignore', 'pipe', 'inherit']);
      const listening = new Promise<void>((resolve) => {
        child.stdout?.on('data', (text: Buffer) => {
          if (text.toString().includes(`127.0.0.1:${port}`)) resolve();
        });
      });
      await listening;
      const growth = await growthDuring(async () => {
        const { stdout } = await berthd.node.run(
          [
            process.execPath,
            '-C',
            'berth-src',
            path.join(top, 'e2e/programs/echo-client.ts'),
            String(port),
            String(megabytes),
          ],
          { timeoutMs: 20_000 + 1000 * megabytes },
        );
        const { sent, received, bytes } = JSON.parse(stdout) as { sent: string; received: string; bytes: number };
        expect(bytes).toBe(megabytes * 1024 * 1024);
        expect(received).toBe(sent);
      });
      expect(growth).toBeLessThan(memoryAllowance);
      child.kill('SIGINT');
      await echo.stop();
      await echo.remove();
      await eventually('no stream is open', async () =>
        (await metric('berth_streams_open')).every((count) => count === 0),
      );
    },
    60_000 + 2000 * megabytes,
  );

  test('a port where nobody listens is told', async () => {
    const port = transport === 'spdy' ? 17_010 : 17_011;
    const child = spawn(
      ...command(berthd.node.enter(crictl('port-forward', '--transport', transport, pod.id, `${port}:7999`))),
    );
    // It gives up by itself when a connection fails.
    const closed = new Promise((resolve) => child.once('close', resolve));
    let said = '';
    child.stdout.on('data', (text: Buffer) => (said += text.toString()));
    child.stderr.on('data', (text: Buffer) => (said += text.toString()));
    await eventually('crictl listens', () => said.includes(`127.0.0.1:${port}`));
    await inShell(`exec 3<>/dev/tcp/127.0.0.1/${port}; cat <&3`);
    await eventually('it is told', () => /port 7999 cannot be forwarded/.test(said));
    child.kill('SIGINT');
    await closed;
  });
});

/** Prints the terminal and its size, says back what is typed, and ends with code 5 at ^D. */
const terminalScript = 'tty; stty size; cat; exit 5';

/** Runs a command in a terminal of 33 lines and plays its user. Gives its exit code. */
async function expectTerminal(argv: readonly string[]): Promise<number | null> {
  const line = `stty rows 33 cols 77; ${quoted(argv)}`;
  const child = berthd.node.spawn(['script', '-qec', line, '/dev/null'], ['pipe', 'pipe', 'inherit']);
  let shown = '';
  child.stdout?.on('data', (text: Buffer) => (shown += text.toString()));
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  await eventually('the size is shown', () => /^33 77\r$/m.test(shown));
  expect(shown).toMatch(/\/dev\/pts\/\d+/);
  child.stdin?.write('typed\r');
  // Once by the terminal, once by cat.
  await eventually('it is said back', () => shown.match(/typed/g)?.length === 2);
  child.stdin?.write('\x04');
  return closed;
}

function command([file = '', ...args]: readonly string[]): [string, string[]] {
  return [file, args];
}

/** A container that reads lines and says each back in capitals until "end". */
const conversation = shell(
  'echo ready >&2; while read line; do echo "$line" | tr a-z A-Z; [ "$line" = end ] && exit 4; done',
  {
    stdin: true,
  },
);

describe.each(['spdy', 'websocket'])('attach over %s', (transport) => {
  test('joins a container’s own streams until it ends; another client takes over from one that left', async () => {
    const talker = await pod.start(conversation);
    const attach = crictl('attach', '--transport', transport, '-i', talker.id);
    const first = berthd.node.spawn(attach, ['pipe', 'pipe', 'inherit']);
    const firstClosed = new Promise((resolve) => first.once('close', resolve));
    let shown = '';
    first.stdout?.on('data', (text: Buffer) => (shown += text.toString()));
    first.stdin?.write('one\n');
    await eventually('the answer comes', () => shown === 'ONE\n');
    first.kill('SIGKILL');
    await firstClosed;
    const { code, stdout } = await berthd.node.run(attach, { input: 'two\nend\n' });
    expect([code, stdout]).toEqual([0, 'TWO\nEND\n']);
    expect((await talker.exited()).exit_code).toBe(4);
    // The log has it all, whoever listened.
    expect(talker.output('stdout')).toBe('ONE\nTWO\nEND\n');
    await talker.remove();
  });
});

describe('berth', () => {
  test('attach ends with the container’s exit code', async () => {
    const talker = await pod.start(conversation);
    const result = await berthd.berth(['attach', talker.id], { input: 'one\nend\n' });
    expect(result).toMatchObject({ code: 4, stdout: 'ONE\nEND\n' });
    await talker.remove();
  });

  test('exec gives output as it comes, and the exit code', async () => {
    const script = 'echo out; echo err >&2; exit 3';
    const result = await berthd.berth(['exec', container.id, 'sh', '-c', script]);
    expect(result).toMatchObject({ code: 3, stdout: 'out\n', stderr: 'err\n' });
  });

  test('exec -i hands stdin over, and its end', async () => {
    const result = await berthd.berth(['exec', '-i', container.id, 'sh', '-c', 'cat; echo end'], { input: 'one\n' });
    expect(result).toMatchObject({ code: 0, stdout: 'one\nend\n' });
  });

  test('exec -it has a terminal, and gives the exit code', async () => {
    const berth = [path.join(top, 'deploy/berth'), '--socket', berthd.socket];
    expect(await expectTerminal([...berth, 'exec', '-it', container.id, 'sh', '-c', terminalScript])).toBe(5);
  });

  test.each<[string, string[], number, string]>([
    ['is not there', ['nosuch'], 127, 'exec: "nosuch": executable file not found in $PATH'],
    [
      'is not there, with a time-out',
      ['/no/such', '--timeout', '9'],
      127,
      'exec: "/no/such": no such file or directory',
    ],
    ['is a directory', ['/etc'], 126, 'exec: "/etc": is a directory'],
  ])('a command that %s ends as in a shell, with the words that people know', async (_name, given, code, said) => {
    const [command = '', ...options] = given;
    const failed = await berthd.berth(['exec', ...options, container.id, command]);
    expect(failed).toMatchObject({ code, stdout: '' });
    const what = code === 127 ? 'is not in the image' : 'cannot be executed';
    expect(failed.stderr).toContain(`the command ${command} ${what}`);
    expect(failed.stderr).toContain(said);
  });

  test('-t without a terminal is refused', async () => {
    const { code, stderr } = await berthd.berth(['exec', '-it', container.id, 'sh']);
    expect(code).toBe(125);
    expect(stderr).toMatch(/not a terminal/);
  });
});

test('a process goes on when berthd is killed in the middle of its stream', async () => {
  const argv = crictl('exec', container.id, 'sh', '-c', 'echo began; exec sleep 777777');
  const child = berthd.node.spawn(argv, ['ignore', 'pipe', 'ignore']);
  await new Promise<void>((resolve) => child.stdout?.once('data', () => resolve()));
  const closed = new Promise((resolve) => child.once('close', resolve));
  await berthd.kill9();
  await closed;
  await berthd.start();
  expect(await container.sh('ps -o args')).toMatch(/^sleep 777777$/m);
  await container.sh(`kill $(ps -o pid,args | awk '$2 == "sleep" && $3 == "777777" { print $1 }')`);
});

test('a pod that is removed ends its streams, and leaves nothing of them', async () => {
  const before = fdsOf(berthd.pid);
  const other = await TestPod.run(berthd);
  const idle = await other.start(shell('echo ready; sleep 1000000'));
  const terminal = [
    'script',
    '-qec',
    quoted(crictl('exec', '-it', idle.id, 'sh', '-c', 'echo here; cat')),
    '/dev/null',
  ];
  const clients = [
    terminal,
    crictl('exec', '-i', idle.id, 'sh', '-c', 'echo here; cat'),
    crictl('attach', '-i', idle.id),
  ];
  const children = clients.map((argv) => berthd.node.spawn(argv, ['pipe', 'pipe', 'ignore']));
  const closed = Promise.all(children.map((child) => new Promise((resolve) => child.once('close', resolve))));
  const streams = async (): Promise<number> =>
    (await metric('berth_streams_open')).reduce((sum, count) => sum + count, 0);
  await eventually('all are connected', async () => (await streams()) === 3);
  await other.stop();
  await other.remove();
  await closed;
  await eventually('no stream is open', async () => (await streams()) === 0);
  await eventually('no descriptor is left', () => added(before, fdsOf(berthd.pid)).length === 0).catch(() => {
    expect(added(before, fdsOf(berthd.pid))).toEqual([]);
  });
});

test('a thousand execs and a thousand streams that break off leave nothing', async () => {
  const before = fdsOf(berthd.pid).length;
  const program = path.join(top, 'e2e/programs/stream-load.ts');
  const argv = [process.execPath, '-C', 'berth-src', program, berthd.socket, container.id, '1000'];
  const { code, stdout, stderr } = await berthd.node.run(argv, { timeoutMs: 300_000 });
  expect([code, stderr]).toEqual([0, '']);
  expect(JSON.parse(stdout)).toEqual({ ended: 1000, broken: 1000 });
  await eventually('no stream is open', async () => (await metric('berth_streams_open')).every((count) => count === 0));
  const noTokens = async (): Promise<boolean> => (await metric('berth_stream_tokens'))[0] === 0;
  await eventually('what was not used is too old', noTokens, 20_000);
  // What waits for its stdin has ended with that; nothing else was started.
  await eventually('no process is left', async () => !/\bcat\b/.test(await container.sh('ps -o args')));
  await eventually('no descriptor is left', () => fdsOf(berthd.pid).length <= before);
}, 300_000);
