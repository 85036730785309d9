import { existsSync, readFileSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { shell, TestPod } from './harness/pods.ts';
import { busybox } from './harness/paths.ts';

// What users of a new runtime meet in their first week.

let berthd: Berthd;
let pod: TestPod;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pod = await TestPod.run(berthd, { hostname: 'first-week' });
});
afterAll(() => berthd.teardown());

const env = (key: string, value: string) => ({ key, value: Buffer.from(value) });

describe('a container’s surroundings', () => {
  test('ids have 64 hex digits', async () => {
    expect(pod.id).toMatch(/^[0-9a-f]{64}$/);
    const container = await pod.create(shell('true'));
    expect(container.id).toMatch(/^[0-9a-f]{64}$/);
    await container.remove();
  });

  test('HOSTNAME, HOME and PATH are set', async () => {
    const lines = (await pod.sh('env')).split('\n');
    expect(lines).toEqual(expect.arrayContaining(['HOSTNAME=first-week', 'HOME=/root']));
    expect(lines.find((line) => line.startsWith('PATH='))).toBe(
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    );
    expect(lines.filter((line) => line.startsWith('TERM='))).toEqual([]);
  });

  test('HOME is that of the user in passwd', async () => {
    expect(await pod.sh('echo $HOME', { linux: { security_context: { run_as_username: 'nobody' } } })).not.toBe(
      '/root\n',
    );
  });

  test('what the config sets wins, byte for byte', async () => {
    const bytes = Buffer.from([0x41, 0xff, 0xfe, 0x42]);
    const envs = [env('HOME', '/elsewhere'), env('PATH', '/bin'), { key: 'RAW', value: bytes }, env('EMPTY', '')];
    expect(await pod.sh('echo $HOME $PATH "[$EMPTY]"', { envs })).toBe('/elsewhere /bin []\n');
    const hex = await pod.sh('printf %s "$RAW" | od -An -tx1', { envs });
    expect(hex.trim()).toBe('41 ff fe 42');
  });

  test('resolv.conf, hosts and hostname are the pod’s', async () => {
    const configured = await TestPod.run(berthd, {
      hostname: 'named',
      dns_config: { servers: ['10.0.0.53'], searches: ['svc.local'], options: ['ndots:5'] },
    });
    expect(await configured.sh('cat /etc/resolv.conf')).toBe(
      'search svc.local\nnameserver 10.0.0.53\noptions ndots:5\n',
    );
    expect(await configured.sh('hostname; cat /etc/hostname')).toBe('named\nnamed\n');
    expect(await configured.sh('cat /etc/hosts')).toMatch(/^127\.0\.0\.1\s+localhost/m);
  });

  test('/dev/shm is the pod’s and has 64 MiB', async () => {
    const writer = await pod.start(shell('echo shared > /dev/shm/x; sleep 1000'));
    expect(await pod.sh('i=0; until cat /dev/shm/x 2>/dev/null || [ $i -gt 50 ]; do i=$((i+1)); sleep 0.1; done')).toBe(
      'shared\n',
    );
    expect(await pod.sh('df -k /dev/shm | tail -n 1 | awk "{ print \\$2 }"')).toBe('65536\n');
    await writer.remove();
  });

  test('the control group looks like a root', async () => {
    const paths = (await pod.sh('cut -d : -f 3 /proc/self/cgroup')).split('\n').filter(Boolean);
    expect(new Set(paths)).toEqual(new Set(['/']));
  });

  test('a start is clean: no signal blocked or ignored, umask 022, three descriptors', async () => {
    // Not through a shell, which has opinions of its own about signals.
    const container = await pod.start({ image: { image: busybox }, command: ['cat', '/proc/self/status'] });
    await container.exited();
    const status = container.output();
    expect(/^SigBlk:\s+(\w+)/m.exec(status)?.[1]).toBe('0000000000000000');
    expect(/^SigIgn:\s+(\w+)/m.exec(status)?.[1]).toBe('0000000000000000');
    expect(await pod.sh('umask')).toBe('0022\n');
    expect(await pod.sh('ulimit -n')).toBe('1024\n');
    // The fourth is the directory that ls reads.
    expect((await pod.sh('ls /proc/self/fd')).split('\n').filter(Boolean)).toEqual(['0', '1', '2', '3']);
  });
});

describe('what runs', () => {
  test('command replaces the image’s entrypoint and drops its cmd', async () => {
    const container = await pod.start({ image: { image: busybox }, command: ['/bin/echo'] });
    await container.exited();
    expect(container.output()).toBe('\n');
  });

  test('args follow the command', async () => {
    const container = await pod.start({ image: { image: busybox }, command: ['/bin/echo'], args: ['a b', 'c'] });
    await container.exited();
    expect(container.output()).toBe('a b c\n');
  });

  test('a working directory that is missing is made', async () => {
    expect(await pod.sh('pwd', { working_dir: '/made/for/me' })).toBe('/made/for/me\n');
  });

  test.each([
    ['exits by itself', 'exit 7', 7, 'Error'],
    ['succeeds', 'true', 0, 'Completed'],
    ['is killed by a signal', 'kill -9 $$', 137, 'Error'],
  ])('the status tells how a container that %s ended', async (_name, line, code, reason) => {
    const container = await pod.start(shell(line));
    expect(await container.exited()).toMatchObject({ exit_code: code, reason });
    await container.remove();
  });

  test.each<[string, string[], number, string]>([
    ['is not there', ['/no/such/command'], 127, 'exec: "/no/such/command": no such file or directory (ENOENT)'],
    ['is not in PATH', ['nosuch'], 127, 'exec: "nosuch": executable file not found in $PATH (ENOENT)'],
    ['cannot be executed', ['/etc/passwd'], 126, 'exec: "/etc/passwd": permission denied (EACCES)'],
    ['is a directory', ['/etc'], 126, 'exec: "/etc": is a directory (EISDIR)'],
  ])('a command that %s is a StartError', async (_name, command, code, said) => {
    const container = await pod.create({ image: { image: busybox }, command });
    await expect(container.start()).rejects.toThrow(said);
    const status = await container.status();
    expect(status).toMatchObject({ state: 'CONTAINER_EXITED', reason: 'StartError', exit_code: code });
    expect(status.message).toContain(said);
    await container.remove();
  });

  test('times are in order', async () => {
    const container = await pod.start(shell('sleep 0.1'));
    const { created_at, started_at, finished_at } = await container.exited();
    expect(BigInt(created_at) > 0n && BigInt(created_at) <= BigInt(started_at)).toBe(true);
    expect(BigInt(finished_at) - BigInt(started_at)).toBeGreaterThan(90_000_000n);
  });
});

describe('volumes', () => {
  test('a source on the node that is missing is made', async () => {
    const source = path.join(berthd.node.directory, 'made/by/berth');
    const mounts = [{ host_path: source, container_path: '/data' }];
    await pod.sh('echo x > /data/file', { mounts });
    expect(statSync(source).isDirectory()).toBe(true);
    expect(existsSync(path.join(source, 'file'))).toBe(true);
  });
});

describe('stop and remove', () => {
  test('work twice, and on ids nobody knows', async () => {
    const own = await TestPod.run(berthd);
    const container = await own.start(shell('sleep 1000'));
    for (let again = 0; again < 2; again += 1) await container.stop();
    expect(await container.exited()).toMatchObject({ exit_code: 137 });
    for (let again = 0; again < 2; again += 1) await container.remove();
    for (let again = 0; again < 2; again += 1) await own.stop();
    for (let again = 0; again < 2; again += 1) await own.remove();
    const unknown = 'f'.repeat(64);
    const { runtime } = berthd.cri;
    await runtime.stopContainer({ container_id: unknown });
    await runtime.removeContainer({ container_id: unknown });
    await runtime.stopPodSandbox({ pod_sandbox_id: unknown });
    await runtime.removePodSandbox({ pod_sandbox_id: unknown });
  });

  test('a pod that runs can be removed, with all that is in it', async () => {
    const own = await TestPod.run(berthd);
    const container = await own.start(shell('sleep 1000'));
    await own.remove();
    await expect(container.status()).rejects.toMatchObject({ status: 'NOT_FOUND' });
    await expect(own.status()).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  test('stopping a pod ends its containers and keeps their status', async () => {
    const own = await TestPod.run(berthd);
    const container = await own.start(shell('sleep 1000'));
    await own.stop();
    expect(await own.status()).toBe('SANDBOX_NOTREADY');
    expect((await container.status()).state).toBe('CONTAINER_EXITED');
    await own.remove();
  });

  test('the stop signal and the grace are kept: TERM is heard, what does not listen is killed', async () => {
    const polite = await pod.start(shell('trap "exit 5" TERM; echo ready; while :; do sleep 0.1; done'));
    const deaf = await pod.start(shell('trap "" TERM; echo ready; while :; do sleep 0.1; done'));
    for (const container of [polite, deaf]) {
      await container.sh('i=0; until [ "$(grep SigCgt /proc/1/status)" ] || [ $i -gt 50 ]; do sleep 0.1; done');
    }
    const started = performance.now();
    await Promise.all([polite.stop(10), deaf.stop(1)]);
    expect(performance.now() - started).toBeLessThan(5000);
    expect(await polite.exited()).toMatchObject({ exit_code: 5 });
    expect(await deaf.exited()).toMatchObject({ exit_code: 137 });
  });

  test('a second stop with a shorter grace wins', async () => {
    const deaf = await pod.start(shell('trap "" TERM; while :; do sleep 0.1; done'));
    const started = performance.now();
    const slow = deaf.stop(60);
    await deaf.stop(0);
    await slow;
    expect(performance.now() - started).toBeLessThan(5000);
  });
});

describe('identity', () => {
  test('names, labels and annotations come back unaltered', async () => {
    const labels = { 'a.b/c': 'd', toString: 'a function elsewhere' };
    const annotations = { note: 'Größe\n"quoted"', empty: '' };
    const own = await TestPod.run(berthd, { labels, annotations });
    const { status } = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: own.id });
    expect(status).toMatchObject({ metadata: own.config.metadata, labels, annotations });
    const container = await own.create(shell('true', { labels, annotations }));
    expect(await container.status()).toMatchObject({ metadata: container.config.metadata, labels, annotations });
    expect((await container.status()).image?.image).toBe(busybox);
    await own.remove();
  });

  test('lists filter by label, state and id', async () => {
    const own = await TestPod.run(berthd, { labels: { app: 'filtered' } });
    const list = async (filter: object): Promise<string[]> =>
      (await berthd.cri.runtime.listPodSandbox({ filter })).items.map(({ id }) => id);
    expect(await list({ label_selector: { app: 'filtered' } })).toEqual([own.id]);
    expect(await list({ label_selector: { app: 'other' } })).toEqual([]);
    expect(await list({ id: own.id.slice(0, 13) })).toEqual([own.id]);
    expect(await list({ id: own.id, state: { state: 'SANDBOX_NOTREADY' } })).toEqual([]);
    await own.remove();
  });

  test('a retry of a finished call gives the same id; another config is refused', async () => {
    const own = await TestPod.run(berthd);
    const again = await berthd.cri.runtime.runPodSandbox({ config: own.config });
    expect(again.pod_sandbox_id).toBe(own.id);
    const other = { ...own.config, hostname: 'other' };
    await expect(berthd.cri.runtime.runPodSandbox({ config: other })).rejects.toMatchObject({
      status: 'ALREADY_EXISTS',
    });
    await own.remove();
  });
});

describe('logs', () => {
  test('lines have time and stream; an unfinished one is written too', async () => {
    const container = await pod.start(shell('echo one; echo two >&2; printf end'));
    await container.exited();
    expect(container.output('stdout')).toBe('one\nend');
    expect(container.output('stderr')).toBe('two\n');
    expect((await container.status()).log_path).toBe(container.logFile);
  });

  test('a long line is cut into partial ones and complete when joined', async () => {
    const container = await pod.start(shell('head -c 100000 /dev/zero | tr "\\0" x; echo'));
    await container.exited();
    expect(container.output()).toBe(`${'x'.repeat(100_000)}\n`);
  });

  test('the log can be moved away and opened anew', async () => {
    const container = await pod.start(shell('i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); sleep 0.01; done'));
    renameSync(container.logFile, `${container.logFile}.1`);
    await berthd.cri.runtime.reopenContainerLog({ container_id: container.id });
    await container.exited();
    const all = readFileSync(`${container.logFile}.1`, 'utf8') + readFileSync(container.logFile, 'utf8');
    const numbers = all
      .split('\n')
      .filter(Boolean)
      .map((line) => Number(line.split(' ')[3]));
    expect(numbers).toEqual(Array.from({ length: 200 }, (_value, index) => index));
  });
});

describe('ExecSync', () => {
  test('gives both streams and the code', async () => {
    const container = await pod.start(shell('sleep 1000'));
    expect(await container.exec(['sh', '-c', 'echo a; echo b >&2; exit 3'])).toEqual({
      code: 3,
      stdout: 'a\n',
      stderr: 'b\n',
    });
    await container.remove();
  });

  test('a time-out kills the whole tree and answers within a second', async () => {
    const container = await pod.start(shell('sleep 1000'));
    const started = performance.now();
    await expect(container.exec(['sh', '-c', 'sleep 777 & sleep 777'], 1)).rejects.toMatchObject({
      status: 'DEADLINE_EXCEEDED',
    });
    expect(performance.now() - started).toBeLessThan(2500);
    expect(await container.sh('ps -o args | grep -c "[s]leep 777" || true')).toBe('0\n');
    await container.remove();
  });

  test('what it left in the background lives on', async () => {
    const container = await pod.start(shell('sleep 1000'));
    await container.sh('sleep 888 >/dev/null 2>&1 &');
    expect(await container.sh('ps -o args | grep -c "[s]leep 888"')).toBe('1\n');
    await container.remove();
  });

  test('output is bounded', async () => {
    const container = await pod.start(shell('sleep 1000'));
    const { stdout } = await container.exec(['sh', '-c', 'head -c 20000000 /dev/zero'], 30);
    expect(stdout.length).toBe(16 * 1024 * 1024 - 64 * 1024);
    await container.remove();
  });

  test('a command that is not there is an error that names it', async () => {
    const container = await pod.start(shell('sleep 1000'));
    await expect(container.exec(['/no/such'])).rejects.toThrow('/no/such');
    await container.remove();
  });
});
