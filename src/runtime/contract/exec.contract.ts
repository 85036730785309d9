import type { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import type { ExecInput, ExecResult } from '../runtime.ts';
import type { StreamChoice } from '../streams.ts';
import { type ContractProgram, programs } from './programs.fixture.ts';
import { code, ctx, gone, nobody, type RunningContainer, type RunningPod } from './runtime-bench.fixture.ts';
import { type RuntimeBench, sigkill } from './runtime-bench.fixture.ts';

const everything: StreamChoice = { stdin: true, stdout: true, stderr: true, tty: false };

/** Other processes in a container, conversations with them and with the first, and with who listens in a pod. */
export function execContract(given: () => RuntimeBench): void {
  describe('in a container', () => {
    let bench: RuntimeBench;
    let pod: RunningPod;
    let podId: string;
    let main: RunningContainer;
    let created: RunningContainer;
    let over: RunningContainer;

    beforeAll(async () => {
      bench = given();
      pod = await bench.runPod();
      ({ podId } = pod);
      [main, created, over] = [
        await bench.run(podId),
        await bench.create(podId),
        await bench.run(podId, programs.ends),
      ];
      await bench.exitOf(over);
    });
    afterAll(() => bench.sweep());

    /** Where no process can be: why, and in whose words. */
    const impossible = (): readonly (readonly [string, string, unknown])[] => [
      [podId, created.id, code('FAILED_PRECONDITION')],
      [podId, over.id, code('FAILED_PRECONDITION')],
      [podId, nobody, code('NOT_FOUND')],
      [nobody, main.id, code('SHIM_DIED')],
    ];

    describe('a command that is run to its end', () => {
      const run = (
        program: ContractProgram,
        changes: Partial<ExecInput> = {},
        [pod, id, context] = [podId, main.id, ctx] as readonly [string, string, typeof ctx],
      ): Promise<ExecResult> => {
        const input = { args: program.args, timeoutMs: 0, outputLimit: 1 << 20, spec: main.created.spec, ...changes };
        return bench.runtime.execSync(context, pod, id, input);
      };

      test('gives its outputs apart, and its code, which is no error', async () => {
        const result = await run(programs.speaks);
        expect({ ...result, stdout: String(result.stdout), stderr: String(result.stderr) }).toEqual({
          ...{ stdout: 'out\n', stderr: 'err\n', exitCode: 3 },
          ...{ timedOut: false, truncated: false },
        });
      });

      test('is not there, or is no program: an error, of the command', async () => {
        await expect(run(programs.missing)).rejects.toMatchObject({ code: 'START_ERROR', details: { exitCode: 127 } });
        await expect(run(programs.noProgram)).rejects.toMatchObject({
          ...{ code: 'START_ERROR', details: { exitCode: 126 } },
        });
      });

      test('gives no more than one wants, and says that there was more', async () => {
        expect(await run(programs.floods, { outputLimit: 1000 })).toMatchObject({ exitCode: 0, truncated: false });
        const { stdout, exitCode, truncated } = await run(programs.floods, { outputLimit: 999 });
        expect([stdout.length, exitCode, truncated]).toEqual([999, 0, true]);
        // Both outputs share what there is.
        const both = await run(programs.speaks, { outputLimit: 7 });
        expect(both.stdout.length + both.stderr.length).toBe(7);
        expect(both).toMatchObject({ exitCode: 3, truncated: true });
        expect(await run(programs.speaks, { outputLimit: 0 })).toMatchObject({ exitCode: 3, truncated: true });
      });

      test('is killed when its time is over, and what it said is dropped', async () => {
        const result = await run(programs.starts, { timeoutMs: 300 });
        expect(result).toMatchObject({ timedOut: true, exitCode: 137, truncated: false });
        expect(result.stdout).toHaveLength(0);
      });

      test('that is over in time has not timed out', async () => {
        expect(await run(programs.speaks, { timeoutMs: 60_000 })).toMatchObject({ timedOut: false, exitCode: 3 });
      });

      test('has nobody to wait for it: the caller is told why he left', async () => {
        await expect(run(programs.speaks, {}, [podId, main.id, gone()])).rejects.toThrow('the caller went away');
        using leaving = new Deadline(200, 'the call');
        const impatient = createCtx({ signal: leaving.signal });
        await expect(run(programs.starts, {}, [podId, main.id, impatient])).rejects.toEqual(code('DEADLINE_EXCEEDED'));
      });

      test('where none can be', async () => {
        for (const [pod, id, error] of impossible()) {
          await expect(run(programs.speaks, {}, [pod, id, ctx])).rejects.toEqual(error);
        }
      });
    });

    describe('exec', () => {
      const exec = (program: ContractProgram, choice: Partial<StreamChoice> = {}, id = main.id, pod = podId) =>
        bench.runtime.exec(ctx, pod, id, { ...everything, ...choice, args: program.args, spec: main.created.spec });

      test('talks to a command: what goes in comes out, and its end ends the streams', async () => {
        await using running = await exec(programs.echoes);
        running.streams.stdin?.end('to and fro');
        expect(await all(running.streams.stdout)).toBe('to and fro');
        expect(await all(running.streams.stderr)).toBe('');
        expect(await running.exited).toEqual({ exitCode: 0 });
      });

      test('has the streams that one asked for and no others; a terminal has one output', async () => {
        await using some = await exec(programs.speaks, { stdin: false, stdout: false });
        expect([some.streams.stdin, some.streams.stdout]).toEqual([undefined, undefined]);
        expect([await all(some.streams.stderr), await some.exited]).toEqual(['err\n', { exitCode: 3 }]);
        await using terminal = await exec(programs.starts, { tty: true });
        expect(terminal.streams.stderr).toBeUndefined();
        await terminal.resize({ columns: 100, rows: 30 });
        await terminal.kill();
        expect(await terminal.exited).toEqual({ exitCode: 137 });
      });

      test('is killed, also twice, and is resized without a terminal to no effect', async () => {
        await using running = await exec(programs.starts);
        await running.resize({ columns: 100, rows: 30 });
        await running.kill();
        expect(await running.exited).toEqual({ exitCode: 137 });
        await running.kill();
      });

      test('is left: one is told nothing more', async () => {
        const running = await exec(programs.echoes);
        await running[Symbol.asyncDispose]();
        await running[Symbol.asyncDispose]();
        await expect(running.exited).rejects.toEqual(code('SHIM_DIED'));
        expect(running.streams.stdin?.destroyed).toBe(true);
        expect(running.streams.stdout?.destroyed).toBe(true);
      });

      test('of what cannot be executed, and where nothing can be', async () => {
        for (const program of [programs.missing, programs.noProgram]) {
          await expect(exec(program)).rejects.toEqual(code('START_ERROR'));
        }
        for (const [pod, id, error] of impossible()) {
          await expect(exec(programs.speaks, {}, id, pod)).rejects.toEqual(error);
        }
        const asked = { ...everything, args: programs.speaks.args, spec: main.created.spec };
        await expect(bench.runtime.exec(gone(), podId, main.id, asked)).rejects.toThrow('the caller went away');
      });

      test('ends with its container', async () => {
        const container = await bench.run(podId);
        await using running = await exec(programs.sleeps, {}, container.id);
        await bench.runtime.signalContainer(ctx, podId, container.id, sigkill, true);
        expect(await running.exited).toEqual({ exitCode: 137 });
      });
    });

    describe('attach', () => {
      test('talks to the first process, and its end is told', async () => {
        const container = await bench.run(podId, programs.echoes, { stdin: true, stdinOnce: true });
        await using attached = await bench.runtime.attach(ctx, podId, container.id, everything);
        attached.streams.stdin?.end('to and fro');
        expect(await all(attached.streams.stdout)).toBe('to and fro');
        expect(await all(attached.streams.stderr)).toBe('');
        expect(await attached.ended).toEqual({ slow: false });
        expect(await bench.exitOf(container)).toMatchObject({ exitCode: 0 });
      });

      test('joins one that waits for its start', async () => {
        const container = await bench.create(podId, programs.speaks);
        await using attached = await bench.runtime.attach(ctx, podId, container.id, { ...everything, stdin: false });
        await bench.runtime.startContainer(ctx, podId, container.id);
        const outputs = [all(attached.streams.stdout), all(attached.streams.stderr)];
        expect(await Promise.all(outputs)).toEqual(['out\n', 'err\n']);
        expect(await attached.ended).toEqual({ slow: false });
      });

      test('leaves, and the container goes on for the next', async () => {
        const container = await bench.run(podId, programs.echoes, { stdin: true });
        for (const words of ['one', 'two']) {
          await using attached = await bench.runtime.attach(ctx, podId, container.id, { ...everything, stderr: false });
          attached.streams.stdin?.write(words);
          expect(await some(attached.streams.stdout)).toBe(words);
          await attached.resize({ columns: 100, rows: 30 });
        }
        expect(await bench.stateOf(container)).toBe('running');
      });

      test('the first who had input to give ends it for all, when the container was to have it once', async () => {
        const container = await bench.run(podId, programs.reads, { stdin: true, stdinOnce: true });
        const attached = await bench.runtime.attach(ctx, podId, container.id, everything);
        await attached[Symbol.asyncDispose]();
        expect(await bench.exitOf(container)).toMatchObject({ exitCode: 7 });
      });

      test('to whom nobody can be attached', async () => {
        for (const [pod, id, error] of impossible().slice(1)) {
          await expect(bench.runtime.attach(ctx, pod, id, everything)).rejects.toEqual(error);
        }
        const attaching = bench.runtime.attach(gone(), podId, main.id, everything);
        await expect(attaching).rejects.toThrow('the caller went away');
      });
    });

    describe('dial', () => {
      test('reaches who listens in the pod', async () => {
        await using _listener = await bench.machine.listen(bench, main, 7100);
        const socket = await bench.runtime.dial(ctx, podId, 7100);
        socket.write('GET /said HTTP/1.0\r\n\r\n');
        expect(await all(socket)).toContain('200');
        socket.destroy();
      });

      test('says why it reaches nobody', async () => {
        const dial = (port: number, pod = podId): Promise<unknown> => bench.runtime.dial(ctx, pod, port);
        await expect(dial(9)).rejects.toEqual(code('UNAVAILABLE'));
        for (const port of [0, -1, 65_536, 1.5]) await expect(dial(port)).rejects.toEqual(code('INVALID_ARGUMENT'));
        await expect(dial(9, nobody)).rejects.toEqual(code('SHIM_DIED'));
        await expect(bench.runtime.dial(gone(), podId, 9)).rejects.toThrow('the caller went away');
      });
    });

    test('a pod that loses its shim ends all conversations with an error', async () => {
      const other = await bench.runPod();
      const container = await bench.run(other.podId);
      const at = [other.podId, container.id] as const;
      const spec = container.created.spec;
      await using running = await bench.runtime.exec(ctx, ...at, { ...everything, args: programs.echoes.args, spec });
      await using attached = await bench.runtime.attach(ctx, ...at, everything);
      const input = { args: programs.sleeps.args, timeoutMs: 0, outputLimit: 10, spec };
      const command = bench.runtime.execSync(ctx, ...at, input);
      const lost = Promise.allSettled([running.exited, attached.ended, command]);
      bench.machine.killShim(other);
      for (const result of await lost) expect(result).toMatchObject({ reason: code('SHIM_DIED') });
    });
  });
}

async function all(stream: Readable | undefined): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream ?? []) chunks.push(chunk as Buffer);
  return String(Buffer.concat(chunks));
}

/** What comes next. */
async function some(stream: Readable | undefined): Promise<string> {
  return String(await new Promise((resolve) => stream?.once('data', resolve)));
}
