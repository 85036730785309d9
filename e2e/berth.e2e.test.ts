import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { ensureBusybox } from './harness/busybox.ts';
import { busybox, top } from './harness/paths.ts';
import { eventually } from './harness/wait.ts';

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd();
});
afterAll(() => berthd.teardown());

async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await berthd.berth(args);
  if (code !== 0) throw new Error(`berth ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`);
  return stdout;
}

describe('berth', () => {
  test('loads an image and lists it', async () => {
    expect(await ok('load', await ensureBusybox(), '--tag', busybox)).toContain(`loaded ${busybox}`);
    expect(await ok('images')).toContain(busybox);
    const { images } = JSON.parse(await ok('images', '-o', 'json')) as { images: { repo_tags: string[] }[] };
    expect(images[0]?.repo_tags).toContain(busybox);
  });

  test('runs a command and gives its output and exit code', async () => {
    const args = ['run', '--rm', '--time', '-e', 'WHO=you', busybox, 'sh', '-c', 'echo hi $WHO; echo oh >&2; exit 7'];
    const { code, stdout, stderr } = await berthd.berth(args);
    expect({ code, stdout }).toEqual({ code: 7, stdout: 'hi you\n' });
    expect(stderr).toContain('oh\n');
    expect(stderr).toMatch(/RunPodSandbox +[0-9.]+ ms/);
    expect(await ok('ps', '-a')).not.toContain('run-');
  });

  test('runs on the node’s network, as another user, with a volume', async () => {
    const source = path.join(berthd.node.directory, 'volume');
    mkdirSync(path.join(source, 'mark'), { recursive: true });
    const script = 'id -u; ls /node; touch /node/x 2>&1; ip -o link | grep -c eth0 || true';
    const args = ['--net', 'host', '-u', '1000', '-v', `${source}:/node:ro`, busybox, 'sh', '-c', script];
    expect(await ok('run', '--rm', ...args)).toBe('1000\nmark\ntouch: /node/x: Read-only file system\n0\n');
  });

  test('leaves a detached pod running: ps, exec, logs -f, inspect, stop, rm', async () => {
    const line = 'echo one; sleep 1; echo two; sleep 1000';
    const id = (await ok('run', '-d', '--name', 'web', busybox, 'sh', '-c', line)).trim();
    expect(await ok('ps')).toMatch(/default\/web +ready/);
    expect(await ok('exec', 'web', 'echo', 'inside')).toBe('inside\n');
    expect((await berthd.berth(['exec', id.slice(0, 8), 'sh', '-c', 'exit 4'])).code).toBe(4);
    await eventually('both lines are in the log', async () => (await ok('logs', id)) === 'one\ntwo\n');
    const followed = berthd.berth(['logs', '-f', id], { timeoutMs: 20_000 });
    const inspected = JSON.parse(await ok('inspect', id)) as { status: { id: string; state: string } };
    expect(inspected.status).toMatchObject({ id, state: 'CONTAINER_RUNNING' });
    for (const word of ['web', id]) {
      const refused = await berthd.berth(['rm', word]);
      expect(refused).toMatchObject({
        code: 125,
        stderr: expect.stringContaining(`berth rm --force ${word}`) as unknown,
      });
    }
    await ok('stop', '-t', '0', id);
    expect((await followed).stdout).toBe('one\ntwo\n');
    expect(await ok('ps', '-a')).toMatch(/ {2}main +exited +Error \(137\) /);
    await ok('rm', 'web');
    expect(await ok('ps', '-a')).not.toContain('web');
  });

  test('says what is wrong and what to do', async () => {
    const unknown = await berthd.berth(['run', 'localhost/none:1']);
    expect(unknown).toMatchObject({ code: 125 });
    expect(unknown.stderr).toContain('image localhost/none:1 is not here, and to pull it failed');
    const nothing = await berthd.berth(['--socket', '/no/such.sock', 'ps']);
    expect(nothing).toMatchObject({ code: 125 });
    expect(nothing.stderr).toContain('cannot reach berthd at /no/such.sock');
    expect(await berthd.berth(['frobnicate'])).toMatchObject({ code: 125 });
    const behind = await berthd.berth(['ps', '--socket', '/no/such.sock']);
    expect(behind.stderr).toContain('(--socket goes before the command: berth --socket ... COMMAND)');
    expect((await berthd.berth(['inspect', ''])).stderr).toContain('the id or name is empty');
    const capitals = await berthd.berth(['pull', 'UPPER/x']);
    expect(capitals.stderr).toContain('names are lower case');
    expect(await ok('ps', '-a')).not.toContain('run-');
  });

  test.each([
    ['is not there', '/no/such/command', 127],
    ['cannot be executed', '/etc/passwd', 126],
  ])('a command that %s ends as in a shell, and leaves nothing', async (_name, command, code) => {
    const failed = await berthd.berth(['run', busybox, command]);
    expect(failed).toMatchObject({ code, stdout: '' });
    expect(failed.stderr).toContain(command);
    expect(await ok('ps', '-a')).not.toContain('run-');
  });

  test('options that make no sense are refused before anything is made', async () => {
    const logs = path.join(berthd.root, 'logs');
    const before = readdirSync(logs);
    const wrong = [['-v', 'relative:/x'], ['-e', '=x'], ['--net', 'moon'], ['-u', 'nobody:users'], ['--bogus']];
    for (const options of wrong) {
      const { code, stderr } = await berthd.berth(['run', ...options, busybox, 'true']);
      expect({ code, stderr }).toEqual({ code: 125, stderr: expect.stringContaining(options.at(-1) ?? '') as unknown });
    }
    expect(readdirSync(logs)).toEqual(before);
  });

  test('a volume that is not there is refused, and not made', async () => {
    const source = path.join(berthd.node.directory, 'typo');
    const { code, stderr } = await berthd.berth(['run', '-v', `${source}:/x`, busybox, 'true']);
    expect({ code, stderr }).toEqual({
      code: 125,
      stderr: expect.stringContaining(`${source} is not there`) as unknown,
    });
    expect(existsSync(source)).toBe(false);
    expect(await ok('ps', '-a')).not.toContain('run-');
  });

  test('a pod that lost its pause is listed as long as something runs in it', async () => {
    const id = (await ok('run', '-d', '--name', 'held', busybox, 'sleep', '1000')).trim();
    const { containers } = await berthd.cri.runtime.listContainers({ filter: { id } });
    const pod = containers[0]?.pod_sandbox_id ?? '';
    const { info } = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: pod, verbose: true });
    const { pid = 0 } = JSON.parse(info['info'] ?? '{}') as { pid?: number };
    expect(pid).toBeGreaterThan(1);
    process.kill(pid, 'SIGKILL');
    await eventually('it is not ready', async () => /held +notready/.test(await ok('ps')));
    expect(await ok('ps')).toMatch(/default\/held +notready +PauseDied.*\n\S+ +main +running/);
    await ok('rm', '--force', 'held');
  });

  test('a name is taken once', async () => {
    await ok('run', '-d', '--name', 'only', busybox, 'sleep', '1000');
    const again = await berthd.berth(['run', '-d', '--name', 'only', busybox, 'true']);
    expect(again).toMatchObject({ code: 125 });
    expect(again.stderr).toContain('berth rm only');
    await ok('rm', '-f', 'only');
  });

  test('an interrupt stops the container, and --rm removes it', async () => {
    const args = ['run', '--rm', busybox, 'sh', '-c', 'trap "exit 9" TERM; echo ready; while :; do sleep 0.1; done'];
    const env = { ...process.env, BERTH_SOCKET: berthd.socket, BERTH_ADMIN_SOCKET: berthd.adminSocket };
    const command = ['timeout', '--preserve-status', '-s', 'INT', '3', path.join(top, 'deploy/berth'), ...args];
    expect(await berthd.node.run(command, { env })).toMatchObject({ code: 9, stdout: 'ready\n' });
    expect(await ok('ps', '-a')).not.toContain('run-');
  });

  test('tells versions, state, and that nothing is left over', async () => {
    expect(await ok('version')).toMatch(/berthd +\S+\nCRI +v1/);
    const info = JSON.parse(await ok('info')) as { status: { status: { conditions: unknown[] } }; config: object };
    expect(info.status.status.conditions).not.toEqual([]);
    expect(info.config).toHaveProperty('paths.root', berthd.root);
    expect(await ok('check')).toBe('');
  });

  test('shutdown comes back when berthd has gone, so that the next one can start at once', async () => {
    const { pid } = berthd;
    expect((await berthd.berth(['shutdown', '--timeout', '0'])).stderr).toContain('--timeout 0');
    expect(await ok('shutdown')).toBe(`berthd (pid ${pid}) has ended; pods go on\n`);
    expect(berthd.log).toContain('berthd ends; pods go on');
    expect(existsSync(`/proc/${pid}/fd/0`)).toBe(false);
    await berthd.start();
  });

  test('removes an image', async () => {
    await ok('rmi', busybox);
    expect(await ok('images')).not.toContain(busybox);
    expect((await berthd.berth(['rmi', busybox])).code).toBe(125);
  });
});
