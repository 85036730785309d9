import { afterEach, describe, expect, test } from '@jest/globals';
import { randomIds } from '#base/ids';
import type { RuntimeEvent } from '../runtime.ts';
import { programs } from './programs.fixture.ts';
import { code, ctx, gone, nobody, type RuntimeBench } from './runtime-bench.fixture.ts';

/** A pod: its beginning and end, what is written beside it, what it tells of itself. */
export function podsContract(given: () => RuntimeBench): void {
  describe('pods', () => {
    afterEach(() => given().sweep());

    test('one runs with a process that holds its namespaces, and a shim', async () => {
      const bench = given();
      const [one, other] = [await bench.runPod(), await bench.runPod()];
      expect(Math.min(one.pausePid, one.shimPid, other.pausePid, other.shimPid)).toBeGreaterThan(0);
      expect(new Set([one.pausePid, one.shimPid, other.pausePid, other.shimPid]).size).toBe(4);
    });

    test('one that runs already is refused, and goes on', async () => {
      const bench = given();
      const pod = await bench.runPod();
      const container = await bench.run(pod.podId);
      await expect(bench.runPod({ podId: pod.podId, document: 'another' })).rejects.toEqual(code('ALREADY_EXISTS'));
      expect((await bench.runtime.documents(ctx)).get(pod.podId)?.pod).toBe('a pod');
      expect(await bench.stateOf(container)).toBe('running');
      await bench.run(pod.podId);
    });

    test('nothing is left of one whose caller went away', async () => {
      const bench = given();
      const input = await bench.podInput();
      await expect(bench.runtime.runPod(gone(), input)).rejects.toThrow('the caller went away');
      expect((await bench.runtime.documents(ctx)).has(input.podId)).toBe(false);
      await expect(bench.runtime.containerState(ctx, input.podId, nobody)).rejects.toEqual(code('SHIM_DIED'));
      await bench.runPod({ podId: input.podId });
    });

    test('an end takes its containers along, needs nothing to be there, and can come twice', async () => {
      const bench = given();
      const { podId } = await bench.runPod();
      const [running, created] = [await bench.run(podId), await bench.create(podId)];
      await bench.runtime.endPod(ctx, podId);
      await bench.runtime.endPod(ctx, podId);
      await bench.runtime.endPod(ctx, randomIds.next());
      for (const container of [running, created]) {
        await expect(bench.stateOf(container)).rejects.toEqual(code('SHIM_DIED'));
      }
      expect((await bench.runtime.documents(ctx)).has(podId)).toBe(false);
      // Who ends it knows: nobody has lost it.
      expect(bench.toldOf(podId)).toEqual(['exit', 'exit']);
    });

    test('documents lie beside it from before it runs until its end', async () => {
      const bench = given();
      const { podId } = await bench.runPod({ document: 'written before' });
      const { id } = await bench.create(podId, programs.sleeps, { document: ({ root }) => `root ${root.path}` });
      const documents = await bench.runtime.documents(ctx);
      expect(documents.get(podId)).toMatchObject({ pod: 'written before', more: undefined });
      expect([...(documents.get(podId)?.containers ?? [])]).toEqual([[id, expect.stringMatching(/^root ./)]]);
      await bench.runtime.addDocument(ctx, podId, 'whole');
      expect((await bench.runtime.documents(ctx)).get(podId)).toMatchObject({ pod: 'written before', more: 'whole' });
    });

    test('nothing can be added to a pod that is not there', async () => {
      const adding = given().runtime.addDocument(ctx, randomIds.next(), 'whole');
      await expect(adding).rejects.toMatchObject({ code: 'KERNEL', message: expect.stringContaining('ENOENT') });
    });

    test('its network is opened as often as one likes, and nobody has one without a pod', async () => {
      const bench = given();
      const { podId } = await bench.runPod();
      using one = await bench.runtime.openNetns(ctx, podId);
      using other = await bench.runtime.openNetns(ctx, podId);
      expect(one?.open && other?.open).toBe(true);
      expect(one?.number).not.toBe(other?.number);
      expect(await bench.runtime.openNetns(ctx, nobody)).toBeUndefined();
    });

    test('the death of what holds its namespaces is told once; what runs goes on, nothing new begins', async () => {
      const bench = given();
      const pod = await bench.runPod();
      const { podId } = pod;
      const container = await bench.run(podId);
      bench.machine.killPause(pod);
      await bench.told('pauseEnded', podId);
      expect(await bench.stateOf(container)).toBe('running');
      await expect(bench.runtime.openNetns(ctx, podId)).rejects.toEqual(code('SHIM_DIED'));
      await expect(bench.runtime.dial(ctx, podId, 80)).rejects.toEqual(code('SHIM_DIED'));
      await expect(bench.create(podId)).rejects.toEqual(code('FAILED_PRECONDITION'));
      expect((await bench.runtime.sample(ctx, { ...nothing, networks: [podId] })).networks.size).toBe(0);
      expect(bench.toldOf(podId)).toEqual(['pauseEnded']);
    });

    test('the death of its shim ends all that was in it, and is told after the exits that were recorded', async () => {
      const bench = given();
      const pod = await bench.runPod();
      const { podId } = pod;
      const [running, ended] = [await bench.run(podId), await bench.run(podId, programs.ends)];
      await bench.exitOf(ended);
      bench.machine.killShim(pod);
      await bench.told('podLost', podId);
      expect(bench.toldOf(podId)).toEqual(['exit', 'exit', 'podLost']);
      await expect(bench.stateOf(running)).rejects.toEqual(code('SHIM_DIED'));
      const { cgroups } = await bench.runtime.sample(ctx, { ...nothing, cgroups: [running.cgroupPath], detail: true });
      expect(cgroups.get(running.cgroupPath)?.processes ?? 0).toBe(0);
      await bench.runtime.signalContainer(ctx, podId, running.id, 15);
      await bench.runtime.acknowledgeExit(ctx, podId, ended.id);
      await bench.remove(running);
      // What it wrote is there until the pod is ended.
      expect((await bench.runtime.documents(ctx)).has(podId)).toBe(true);
    });

    test('who has left is told nothing', async () => {
      const bench = given();
      const { podId } = await bench.runPod();
      const heard: RuntimeEvent[] = [];
      const listening = bench.runtime.onEvent((event) => void heard.push(event));
      await bench.exitOf(await bench.run(podId, programs.ends));
      listening[Symbol.dispose]();
      await bench.exitOf(await bench.run(podId, programs.ends));
      expect(heard.map(({ type }) => type)).toEqual(['exit']);
    });
  });
}

const nothing = { cgroups: [], networks: [], processes: [], detail: false };
