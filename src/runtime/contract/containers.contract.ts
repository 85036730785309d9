import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { randomIds } from '#base/ids';
import { programs } from './programs.fixture.ts';
import { code, ctx, gone, nobody, type RuntimeBench, sigkill, sigterm, until } from './runtime-bench.fixture.ts';

const [sigint, sigwinch] = [2, 28];

/** A container's life: create, start, signals, ends and what is told of them, remove; in every order and twice. */
export function containersContract(given: () => RuntimeBench): void {
  describe('containers', () => {
    let bench: RuntimeBench;
    let podId: string;
    beforeAll(async () => {
      bench = given();
      ({ podId } = await bench.runPod());
    });
    beforeEach(() => void (bench.events.length = 0));
    afterAll(() => bench.sweep());

    const ended = async (program: Parameters<RuntimeBench['run']>[1] = programs.ends) => {
      const container = await bench.run(podId, program);
      await bench.exitOf(container);
      return container;
    };

    describe('create', () => {
      test('makes one that waits: a process, its group, what it runs by', async () => {
        const { id, created, cgroupPath } = await bench.create(podId, programs.sleeps);
        expect(created).toMatchObject({ pid: expect.any(Number), cgroupPath, warnings: [] });
        expect(created.pid).toBeGreaterThan(0);
        expect(created.spec.process.args).toEqual(programs.sleeps.args);
        expect(created.spec.linux.cgroupsPath).toBe(cgroupPath);
        const state = await bench.runtime.containerState(ctx, podId, id);
        expect(state).toEqual({ id, state: 'created', pid: created.pid, startedAtNs: 0n });
      });

      test('of an id that is there is refused, and changes nothing for who has it', async () => {
        const container = await bench.run(podId, programs.heeds);
        const { id } = container;
        const again = bench.create(podId, programs.sleeps, { id, document: () => 'another' });
        await expect(again).rejects.toEqual(code('ALREADY_EXISTS'));
        expect(await bench.stateOf(container)).toBe('running');
        expect((await bench.runtime.documents(ctx)).get(podId)?.containers.get(id)).toBe('a container');
        await bench.runtime.signalContainer(ctx, podId, id, sigterm);
        expect(await bench.exitOf(container)).toMatchObject({ exitCode: 3 });
      });

      test('in a pod that is not there', async () => {
        await expect(bench.create(nobody)).rejects.toEqual(code('SHIM_DIED'));
      });

      test('leaves nothing when its caller went away', async () => {
        const id = randomIds.next();
        await expect(bench.create(podId, programs.sleeps, { id }, gone())).rejects.toThrow('the caller went away');
        expect((await bench.runtime.documents(ctx)).get(podId)?.containers.has(id)).toBe(false);
        await until(async () => (await bench.stateOf({ podId, id })) === undefined, 'it to be forgotten');
        await bench.create(podId, programs.sleeps, { id });
      });

      test('into the processes of one that does not run', async () => {
        const joining = bench.create(podId, programs.sleeps, { pid: { target: nobody } });
        await expect(joining).rejects.toEqual(code('NOT_FOUND'));
      });
    });

    describe('start', () => {
      test('lets it go, and tells since when it runs', async () => {
        const { id, created } = await bench.create(podId);
        const { startedAtNs } = await bench.runtime.startContainer(ctx, podId, id);
        const state = await bench.runtime.containerState(ctx, podId, id);
        expect(state).toEqual({ id, state: 'running', pid: created.pid, startedAtNs });
        expect(startedAtNs).toBeGreaterThan(1_600_000_000_000_000_000n);
      });

      test('of what is not created: it runs, has ended, is not there, has no pod', async () => {
        const start = (id: string, pod = podId): Promise<unknown> => bench.runtime.startContainer(ctx, pod, id);
        const [running, over] = [await bench.run(podId), await ended()];
        await expect(start(running.id)).rejects.toEqual(code('FAILED_PRECONDITION'));
        await expect(start(over.id)).rejects.toEqual(code('FAILED_PRECONDITION'));
        await expect(start(nobody)).rejects.toEqual(code('NOT_FOUND'));
        await expect(start(running.id, nobody)).rejects.toEqual(code('SHIM_DIED'));
        expect(await bench.stateOf(running)).toBe('running');
      });

      test('is done although its caller went away', async () => {
        const container = await bench.create(podId);
        await expect(bench.runtime.startContainer(gone(), podId, container.id)).rejects.toThrow('the caller went away');
        await until(async () => (await bench.stateOf(container)) === 'running', 'it to run');
      });

      test.each([
        ['is not there', programs.missing, 127],
        ['is no program', programs.noProgram, 126],
      ])('of a command that %s fails, and it has exited', async (_what, program, exitCode) => {
        const container = await bench.create(podId, program);
        const starting = bench.runtime.startContainer(ctx, podId, container.id);
        await expect(starting).rejects.toMatchObject({ code: 'START_ERROR', details: { exitCode } });
        expect(await bench.exitOf(container)).toMatchObject({ exitCode, signal: 0, oomKilled: false, startedAtNs: 0n });
        expect(await bench.stateOf(container)).toBe('exited');
        await bench.remove(container);
      });
    });

    describe('an end', () => {
      test('is told once, with its code and times, and stays to be asked for', async () => {
        const container = await bench.create(podId, programs.ends);
        const { startedAtNs } = await bench.runtime.startContainer(ctx, podId, container.id);
        const exit = await bench.exitOf(container);
        expect(exit).toMatchObject({ exitCode: 7, signal: 0, oomKilled: false, startedAtNs });
        expect(exit.finishedAtNs).toBeGreaterThan(startedAtNs);
        const { id } = container;
        const state = await bench.runtime.containerState(ctx, podId, id);
        expect(state).toEqual({ id, state: 'exited', pid: 0, startedAtNs, exit });
        expect(bench.toldOf(podId)).toEqual(['exit']);
      });

      test('is acknowledged, also twice and without a pod; it can be asked for all the same', async () => {
        const container = await ended();
        for (const [pod, id] of [
          [podId, container.id],
          [podId, container.id],
          [nobody, container.id],
        ] as const) {
          await bench.runtime.acknowledgeExit(ctx, pod, id);
        }
        expect((await bench.runtime.containerState(ctx, podId, container.id))?.exit).toMatchObject({ exitCode: 7 });
        const { id: running } = await bench.run(podId);
        for (const id of [running, nobody]) {
          await expect(bench.runtime.acknowledgeExit(ctx, podId, id)).rejects.toEqual(code('NOT_FOUND'));
        }
      });

      test('for lack of memory is told as that', async () => {
        const mebibyte = 1n << 20n;
        const resources = { memoryLimit: 16n * mebibyte, memorySwap: 16n * mebibyte };
        const container = await bench.run(podId, programs.swells, { resources, pid: 'container' });
        expect(await bench.exitOf(container)).toMatchObject({ exitCode: 137, oomKilled: true });
      });
    });

    describe('a signal', () => {
      const signal = (id: string, number: number, all = false, pod = podId): Promise<void> =>
        bench.runtime.signalContainer(ctx, pod, id, number, all);

      test('that is heeded ends it with the code it chose', async () => {
        const container = await bench.run(podId, programs.heeds);
        await signal(container.id, sigterm);
        expect(await bench.exitOf(container)).toMatchObject({ exitCode: 3, signal: 0 });
      });

      test('that is ignored changes nothing; the one that cannot be, ends it', async () => {
        const container = await bench.run(podId, programs.ignores);
        await signal(container.id, sigterm);
        expect(await bench.stateOf(container)).toBe('running');
        await signal(container.id, sigkill);
        expect(await bench.exitOf(container)).toMatchObject({ exitCode: 137, signal: 9, oomKilled: false });
      });

      test('does nothing to a first process that does not listen to it, unlike to another', async () => {
        const first = await bench.run(podId, programs.sleeps, { pid: 'container' });
        const second = await bench.run(podId, programs.sleeps, { pid: { target: first.id } });
        const third = await bench.run(podId, programs.sleeps, { pid: { target: first.id } });
        for (const number of [sigterm, sigint]) await signal(first.id, number);
        await signal(second.id, sigterm);
        for (const number of [sigwinch, sigint]) await signal(third.id, number);
        expect(await bench.exitOf(second)).toMatchObject({ exitCode: 143, signal: 15 });
        expect(await bench.exitOf(third)).toMatchObject({ exitCode: 130, signal: 2 });
        expect(await bench.stateOf(first)).toBe('running');
      });

      test('that ends a first process ends who shares its processes', async () => {
        const first = await bench.run(podId, programs.sleeps, { pid: 'container' });
        const second = await bench.run(podId, programs.sleeps, { pid: { target: first.id } });
        await signal(first.id, sigkill);
        expect(await bench.exitOf(second)).toMatchObject({ exitCode: 137, signal: 9, oomKilled: false });
      });

      test('to all ends whatever runs in it', async () => {
        const container = await bench.run(podId, programs.ignores);
        await signal(container.id, sigkill, true);
        expect(await bench.exitOf(container)).toMatchObject({ exitCode: 137, signal: 9 });
      });

      test('ends one that waits for its start', async () => {
        const container = await bench.create(podId);
        await signal(container.id, sigterm);
        expect(await bench.stateOf(container)).toBe('created');
        await signal(container.id, sigkill);
        expect(await bench.exitOf(container)).toMatchObject({ exitCode: 137, signal: 9, startedAtNs: 0n });
        expect(await bench.stateOf(container)).toBe('exited');
      });

      test('to who has ended, is not there or has no pod is no error', async () => {
        const { id } = await ended();
        for (const number of [sigterm, sigkill]) {
          await signal(id, number);
          await signal(id, number, true);
          await signal(nobody, number);
          await signal(id, number, true, nobody);
        }
        expect(bench.toldOf(podId)).toEqual(['exit']);
      });
    });

    describe('remove', () => {
      test('of one that runs is refused, and it goes on', async () => {
        const container = await bench.run(podId);
        await expect(bench.remove(container)).rejects.toEqual(code('FAILED_PRECONDITION'));
        expect(await bench.stateOf(container)).toBe('running');
      });

      test('leaves nothing of one that has ended or was never started, and can come twice', async () => {
        for (const container of [await ended(), await bench.create(podId)]) {
          const { id, cgroupPath } = container;
          await bench.remove(container);
          await bench.remove(container);
          expect(await bench.stateOf(container)).toBeUndefined();
          expect((await bench.runtime.documents(ctx)).get(podId)?.containers.has(id)).toBe(false);
          const wanted = { cgroups: [cgroupPath], networks: [], processes: [], detail: false };
          expect((await bench.runtime.sample(ctx, wanted)).cgroups.size).toBe(0);
          await bench.create(podId, programs.sleeps, { id });
        }
        // Of one that waited for its start nothing is told: who removes it knows.
        expect(bench.toldOf(podId)).toEqual(['exit']);
      });

      test('of what is not there, or has no pod, is no error', async () => {
        await bench.remove({ podId, id: nobody, cgroupPath: `${bench.machine.group}/${nobody}` });
        await bench.remove({ podId: nobody, id: nobody, cgroupPath: `${bench.machine.group}/${nobody}` });
      });
    });

    describe('an end by force', () => {
      test('leaves nothing, whatever it does, and can come twice', async () => {
        for (const container of [
          await bench.run(podId),
          await bench.run(podId, programs.ignores),
          await ended(),
          await bench.create(podId),
        ]) {
          await bench.runtime.endContainer(ctx, podId, container.id);
          await bench.runtime.endContainer(ctx, podId, container.id);
          expect(await bench.stateOf(container)).toBeUndefined();
          expect((await bench.runtime.documents(ctx)).get(podId)?.containers.has(container.id)).toBe(false);
          // Of one that waited for its start it may be told or not: who ends it knows.
          if (container.started) await bench.exitOf(container);
        }
      });

      test('of what is not there is no error; without a pod nobody can tell', async () => {
        await bench.runtime.endContainer(ctx, podId, nobody);
        await expect(bench.runtime.endContainer(ctx, nobody, nobody)).rejects.toEqual(code('SHIM_DIED'));
      });
    });

    describe('a log', () => {
      test('is opened anew at any time, by who has one', async () => {
        const [running, over] = [await bench.run(podId), await ended()];
        await bench.runtime.reopenLog(ctx, podId, running.id);
        await expect(bench.runtime.reopenLog(ctx, podId, over.id)).rejects.toEqual(code('FAILED_PRECONDITION'));
        await expect(bench.runtime.reopenLog(ctx, podId, nobody)).rejects.toEqual(code('NOT_FOUND'));
        await expect(bench.runtime.reopenLog(ctx, nobody, nobody)).rejects.toEqual(code('SHIM_DIED'));
      });
    });

    test('the state of who is not there: unknown to a pod, an error without one', async () => {
      expect(await bench.runtime.containerState(ctx, podId, nobody)).toBeUndefined();
      await expect(bench.runtime.containerState(ctx, nobody, nobody)).rejects.toEqual(code('SHIM_DIED'));
    });
  });
}
