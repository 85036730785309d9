import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import type { Duplex, Readable } from 'node:stream';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { createCtx } from '#base/ctx';
import { Deadline } from '#base/deadline';

import type { ContainerInput } from './container-input.ts';
import { containerInput } from './container-input.fixture.ts';
import { lackOfLinux, LinuxMachine } from './contract/linux-machine.fixture.ts';
import type { LinuxRuntime } from './linux-runtime.ts';
import type { OciSpec } from './spec/oci.ts';
import type { ExecOptions, RunningExec } from './streams.ts';

// The real runtime with a real shim: a pod in a network namespace of its own, whose root is busybox.
const lack = lackOfLinux();
if (lack !== undefined) console.warn(`skipped: src/runtime/streams.root.test.ts needs ${lack}`);
const asRoot = lack === undefined ? describe : describe.skip;

const ctx = createCtx();
const podId = randomBytes(32).toString('hex');
const openFds = (): number => readdirSync('/proc/self/fd').length;

asRoot('conversations with processes', () => {
  const containers = new Set<string>();
  let machine: LinuxMachine;
  let runtime: LinuxRuntime;
  let main: { readonly id: string; readonly spec: OciSpec };

  beforeAll(async () => {
    machine = new LinuxMachine();
    runtime = await machine.open();
    await runtime.runPod(ctx, {
      podId,
      ...(await machine.pod()),
      ipc: 'pod',
      uts: 'pod',
      pid: 'container',
      hostname: 'talker',
      sysctls: {},
      shmBytes: 1n << 20n,
      document: '',
    });
    main = await run({ args: ['/bin/sleep', '1000'] });
  }, 60_000);

  afterAll(async () => {
    await runtime.endPod(ctx, podId);
    for (const id of containers) await runtime.removeContainer(ctx, podId, id, `${machine.group}/${id}`);
    await runtime.close();
    await machine.cleanUp();
  }, 60_000);

  async function run(changes: Partial<ContainerInput>): Promise<{ readonly id: string; readonly spec: OciSpec }> {
    const id = randomBytes(32).toString('hex');
    containers.add(id);
    const input = { podId, id, cgroupPath: `${machine.group}/${id}`, ...machine.container(id), ...changes };
    const { spec } = await runtime.createContainer(ctx, containerInput({ ...input, args: changes.args ?? [] }));
    await runtime.startContainer(ctx, podId, id);
    return { id, spec };
  }

  function exec(args: readonly string[], choice: Partial<ExecOptions> = {}): Promise<RunningExec> {
    const streams = { stdin: true, stdout: true, stderr: true, tty: false };
    return runtime.exec(ctx, podId, main.id, { ...streams, args, spec: main.spec, ...choice });
  }

  const sh = (script: string, choice: Partial<ExecOptions> = {}): Promise<RunningExec> =>
    exec(['/bin/sh', '-c', script], choice);

  describe('exec', () => {
    test('a megabyte of anything comes back byte by byte', async () => {
      const data = randomBytes(1 << 20);
      await using running = await exec(['/bin/cat']);
      running.streams.stdin?.end(data);
      expect((await all(running.streams.stdout)).equals(data)).toBe(true);
      expect(await running.exited).toEqual({ exitCode: 0 });
    });

    test('stdout, stderr and the exit code are apart, and what was not asked for is not there', async () => {
      await using running = await sh('cat; echo out; echo err >&2; exit 3', { stdin: false });
      expect(running.streams.stdin).toBeUndefined();
      const [out, err] = await Promise.all([all(running.streams.stdout), all(running.streams.stderr)]);
      expect([String(out), String(err), await running.exited]).toEqual(['out\n', 'err\n', { exitCode: 3 }]);
    });

    test('a command that cannot be started says so, and leaves nothing', async () => {
      const before = openFds();
      for (const tty of [false, true]) {
        await expect(exec(['/no/such'], { tty })).rejects.toMatchObject({ code: 'START_ERROR' });
      }
      await expect(
        runtime.exec(ctx, podId, 'f'.repeat(64), { ...everything(main.spec), tty: true }),
      ).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await until(() => openFds() <= before);
    });

    test('a child that holds the output does not hold the conversation', async () => {
      await using running = await sh('sleep 1000 & echo done');
      expect(String(await all(running.streams.stdout))).toBe('done\n');
      await all(running.streams.stderr);
    });

    test('nor does one that never stops writing', async () => {
      await using running = await sh('yes & echo done');
      const out = await all(running.streams.stdout);
      expect(String(out)).toContain('done\n');
      expect(out.length).toBeLessThan(16 << 20);
    });

    test('a reader that waits gets everything although the process has long ended', async () => {
      await using running = await sh('head -c 50000 /dev/zero');
      await running.exited;
      expect((await all(running.streams.stdout)).length).toBe(50_000);
    });

    test('input that nobody reads any more ends the stream without an error', async () => {
      await using running = await sh('exec <&-; sleep 1000');
      const stdin = running.streams.stdin;
      const errors: unknown[] = [];
      stdin?.on('error', (error) => errors.push(error));
      await until(() => {
        if (stdin?.writable) stdin.write('x');
        return stdin?.destroyed === true;
      });
      expect(errors).toEqual([]);
      await running.kill();
      expect(await running.exited).toEqual({ exitCode: 137 });
    });

    test('disposing closes everything here', async () => {
      const before = openFds();
      const running = await exec(['/bin/cat']);
      await running[Symbol.asyncDispose]();
      await expect(running.exited).rejects.toMatchObject({ code: 'SHIM_DIED' });
      await until(() => openFds() <= before);
    });

    test('a terminal has its size, is resized and echoes', async () => {
      const script = "trap 'stty size' WINCH; echo $TERM; stty size; while :; do sleep 0.05; done";
      await using running = await sh(script, { tty: true, size: { columns: 80, rows: 24 } });
      const { stdin, stdout, stderr } = running.streams;
      expect(stderr).toBeUndefined();
      await seen(stdout, 'xterm\r\n24 80\r\n');
      await running.resize({ columns: 0, rows: 0 }); // nothing to be told
      await running.resize({ columns: 132, rows: 43 });
      stdin?.write('hello\n');
      await seen(stdout, '43 132\r\n', 'hello\r\n');
      stdin?.write('\x03');
      expect(await running.exited).toEqual({ exitCode: 130 });
      await running.resize({ columns: 80, rows: 24 });
      await running.kill();
    });
  });

  describe('attach', () => {
    const choice = { stdin: true, stdout: true, stderr: true, tty: false };

    test('what goes in comes out, and the end of the container ends it', async () => {
      const { id } = await run({ args: ['/bin/cat'], stdin: true, stdinOnce: true });
      const data = randomBytes(1 << 20);
      await using attached = await runtime.attach(ctx, podId, id, choice);
      attached.streams.stdin?.end(data);
      expect((await all(attached.streams.stdout)).equals(data)).toBe(true);
      await all(attached.streams.stderr);
      expect(await attached.ended).toEqual({ slow: false });
    });

    test('the end is told when everything has been read', async () => {
      const { id } = await run({ args: ['/bin/sh', '-c', 'read x; head -c 200000 /dev/zero'], stdin: true });
      await using attached = await runtime.attach(ctx, podId, id, { ...choice, stderr: false });
      attached.streams.stdin?.write('go\n');
      let ended = false;
      void attached.ended.then(() => (ended = true));
      await new Promise((resolve) => runtime.onEvent(resolve));
      expect(ended).toBe(false);
      expect((await all(attached.streams.stdout)).length).toBe(200_000);
      expect(await attached.ended).toEqual({ slow: false });
    });

    test('a client that does not read is cut and told', async () => {
      const { id } = await run({ args: ['/bin/sh', '-c', 'read x; head -c 3000000 /dev/zero'], stdin: true });
      await using attached = await runtime.attach(ctx, podId, id, choice);
      attached.streams.stdin?.write('go\n');
      expect(await attached.ended).toEqual({ slow: true });
    });

    test('a terminal is resized, and leaving it hurts nobody', async () => {
      const script = 'while :; do stty size; sleep 0.02; done';
      const { id } = await run({ args: ['/bin/sh', '-c', script], stdin: true, tty: true });
      const before = openFds();
      for (const rows of [41, 42]) {
        await using attached = await runtime.attach(ctx, podId, id, { ...choice, tty: true });
        await attached.resize({ columns: 132, rows });
        await seen(attached.streams.stdout, `${rows} 132\r\n`);
      }
      await until(() => openFds() <= before);
      await runtime.signalContainer(ctx, podId, id, 9);
    });

    test('to nothing that runs', async () => {
      const before = openFds();
      await expect(runtime.attach(ctx, podId, 'f'.repeat(64), choice)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await until(() => openFds() <= before);
    });
  });

  describe('dial', () => {
    test('reaches what listens on the loopback of the pod, over either family, and closes by halves', async () => {
      await using listeners = await sh(
        'echo there and back > /tmp/said; for at in 127.0.0.1:7001 [::1]:7002; do httpd -f -h /tmp -p $at & done; wait',
      );
      for (const port of [7001, 7002]) {
        const socket = await dialled(port);
        socket.end('GET /said HTTP/1.0\r\n\r\n');
        expect(String(await all(socket))).toMatch(/^HTTP\/1.[01] 200 [^]*there and back\n$/);
      }
      await listeners.kill();
    });

    test('says that nobody listens, and leaves nothing', async () => {
      const before = openFds();
      await expect(runtime.dial(ctx, podId, 9)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      await expect(runtime.dial(ctx, podId, 0)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(runtime.dial(ctx, 'f'.repeat(64), 9)).rejects.toMatchObject({ code: 'SHIM_DIED' });
      await until(() => openFds() <= before);
    });

    async function dialled(port: number): Promise<Duplex> {
      let socket: Duplex | undefined;
      await until(async () => {
        socket = await runtime.dial(ctx, podId, port).catch(() => undefined);
        return socket !== undefined;
      });
      return socket as Duplex;
    }
  });
});

const everything = (spec: OciSpec): ExecOptions => ({
  stdin: true,
  stdout: true,
  stderr: true,
  tty: false,
  args: ['/bin/true'],
  spec,
});

async function all(stream: Readable | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream ?? []) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Reads until all of these have come, in any order. */
async function seen(stream: Readable | undefined, ...texts: readonly string[]): Promise<string> {
  let got = '';
  await until(
    () => {
      got += String((stream?.read() as Buffer | null) ?? '');
      return texts.every((text) => got.includes(text));
    },
    () => `${JSON.stringify(got)} lacks one of ${JSON.stringify(texts)}`,
  );
  return got;
}

async function until(test: () => boolean | Promise<boolean>, what = (): string => 'it never happened'): Promise<void> {
  using patience = new Deadline(4_000, 'waiting');
  while (!(await test())) {
    if (patience.signal.aborted) throw new Error(what());
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
