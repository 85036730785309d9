import { afterEach, describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { randomIds } from '#base/ids';
import type { AdoptedPod, AnsweredPod, KnownContainer, LostPod, SilentPod } from '../runtime.ts';
import { programs } from './programs.fixture.ts';
import { code, ctx, nobody, type RuntimeBench, sigkill, sigterm } from './runtime-bench.fixture.ts';

/** What the next berthd finds of what the one before it has left. */
export function recoveryContract(given: () => RuntimeBench): void {
  describe('adopting', () => {
    afterEach(() => given().sweep());

    const adopt = async (podId: string, known: readonly KnownContainer[] = []): Promise<AdoptedPod> => {
      const [found] = await given().runtime.adopt(ctx, [podId], known);
      if (found === undefined) throw new Error('adopt said nothing of the pod');
      return found;
    };

    test('before it nobody is known, and what runs goes on', async () => {
      const bench = given();
      const { podId } = await bench.runPod();
      const container = await bench.run(podId);
      await bench.restart();
      await expect(bench.stateOf(container)).rejects.toEqual(code('SHIM_DIED'));
      expect(await bench.runtime.openNetns(ctx, podId)).toBeUndefined();
      await bench.runtime.signalContainer(ctx, podId, container.id, sigkill);
      await adopt(podId);
      expect(await bench.stateOf(container)).toBe('running');
    });

    test('a pod comes back as it was, each container in its state, and works as before', async () => {
      const bench = given();
      const { podId, pausePid, shimPid } = await bench.runPod();
      const [running, created, ended] = [
        await bench.run(podId, programs.heeds),
        await bench.create(podId),
        await bench.run(podId, programs.ends),
      ];
      const exit = await bench.exitOf(ended);
      await bench.runtime.acknowledgeExit(ctx, podId, ended.id);
      const before = await bench.runtime.containerState(ctx, podId, running.id);
      await bench.restart();
      const found = (await adopt(podId, [running, created, ended])) as AnsweredPod;
      expect(found).toMatchObject({ podId, shim: 'answers', process: { pausePid, shimPid } });
      const byId = new Map(found.containers.map((one) => [one.id, one]));
      expect(byId.size).toBe(3);
      expect(byId.get(running.id)).toEqual(before);
      expect(byId.get(created.id)).toMatchObject({ state: 'created', pid: created.created.pid, startedAtNs: 0n });
      expect(byId.get(ended.id)).toMatchObject({ state: 'exited', exit });

      await bench.runtime.startContainer(ctx, podId, created.id);
      await bench.runtime.signalContainer(ctx, podId, running.id, sigterm);
      expect(await bench.exitOf(running)).toMatchObject({ exitCode: 3 });
      const { spec } = created.created;
      const input = { args: programs.speaks.args, timeoutMs: 0, outputLimit: 100, spec };
      expect(await bench.runtime.execSync(ctx, podId, created.id, input)).toMatchObject({ exitCode: 3 });
      using netns = await bench.runtime.openNetns(ctx, podId);
      expect(netns?.open).toBe(true);
      await bench.run(podId, programs.sleeps, { pid: { target: created.id } });
    });

    test('who has ended meanwhile is found with its end, which is not told again', async () => {
      const bench = given();
      const { podId } = await bench.runPod();
      const container = await bench.run(podId, programs.reads, { stdin: true, stdinOnce: true });
      const choice = { stdin: true, stdout: false, stderr: false, tty: false };
      const attached = await bench.runtime.attach(ctx, podId, container.id, choice);
      await bench.restart();
      // What it had open here goes with whoever had it.
      await attached[Symbol.asyncDispose]();
      const found = (await adopt(podId)) as AnsweredPod;
      const exit = found.containers[0]?.exit ?? (await bench.exitOf(container));
      expect(exit).toMatchObject({ exitCode: 7, signal: 0, oomKilled: false });
      expect(await bench.stateOf(container)).toBe('exited');
      expect(bench.toldOf(podId).length).toBeLessThanOrEqual(1);
    });

    test('what held the namespaces has died meanwhile: there is no such process', async () => {
      const bench = given();
      const pod = await bench.runPod();
      await bench.run(pod.podId);
      bench.machine.killPause(pod);
      await bench.told('pauseEnded', pod.podId);
      await bench.restart();
      expect(await adopt(pod.podId)).toMatchObject({ shim: 'answers', process: { pausePid: 0, shimPid: pod.shimPid } });
    });

    test('a shim that died meanwhile leaves its records, and nothing that runs', async () => {
      const bench = given();
      const pod = await bench.runPod();
      const { podId } = pod;
      const [running, ended, told] = [
        await bench.run(podId),
        await bench.run(podId, programs.ends),
        await bench.run(podId, programs.ends),
      ];
      const exit = await bench.exitOf(ended);
      await bench.exitOf(told);
      await bench.runtime.acknowledgeExit(ctx, podId, told.id);
      await bench.restart();
      bench.machine.killShim(pod);
      const found = (await adopt(podId, [running, ended, told])) as LostPod;
      expect(found).toMatchObject({ podId, shim: 'dead', reason: expect.stringMatching(/./) });
      // What was acknowledged is on somebody else's disk.
      expect([...found.exits]).toEqual([[ended.id, exit]]);
      const wanted = { cgroups: [running.cgroupPath], networks: [], processes: [], detail: true };
      const { cgroups } = await bench.runtime.sample(ctx, wanted);
      expect(cgroups.get(running.cgroupPath)?.processes ?? 0).toBe(0);
      await expect(bench.stateOf(running)).rejects.toEqual(code('SHIM_DIED'));
      // Nobody loses it a second time.
      expect(bench.toldOf(podId)).toEqual([]);
    });

    test('a pod that was never there is dead', async () => {
      expect(await adopt(randomIds.next())).toMatchObject({ shim: 'dead', exits: new Map() });
    });

    test('a shim that is silent is nobody’s loss: who runs is said, and all is told when it answers', async () => {
      const bench = given();
      const [pod, other] = [await bench.runPod(), await bench.runPod()];
      const { podId } = pod;
      const [running, ended] = [await bench.run(podId), await bench.run(podId, programs.ends)];
      await bench.exitOf(ended);
      const unknown = { podId, id: nobody, cgroupPath: `${bench.machine.group}/${nobody}` };
      await bench.restart();
      let late: SilentPod;
      {
        using _stopped = bench.machine.stopShim(pod);
        const found = await bench.runtime.adopt(ctx, [podId, other.podId], [running, ended, unknown]);
        expect(found.map(({ shim }) => shim)).toEqual(['silent', 'answers']);
        late = found[0] as SilentPod;
        const busy = new Set([running.id]);
        expect(late).toMatchObject({ podId, shimPid: pod.shimPid, unreachable: false, busy });
        await expect(bench.stateOf(running)).rejects.toEqual(code('SHIM_DIED'));
        await bench.run(other.podId);
      }
      const answered = (await late.later) as AnsweredPod;
      expect(answered).toMatchObject({ podId, shim: 'answers', process: { shimPid: pod.shimPid } });
      expect(new Map(answered.containers.map(({ id, state }) => [id, state]))).toEqual(
        new Map([
          [running.id, 'running'],
          [ended.id, 'exited'],
        ]),
      );
      // Only one that has not answered is killed.
      await bench.runtime.killSilent(ctx, podId);
      expect(await bench.stateOf(running)).toBe('running');
    });

    test('a shim that falls silent later makes its own callers wait, as long as they like', async () => {
      const bench = given();
      const [pod, other] = [await bench.runPod(), await bench.runPod()];
      const [container, elsewhere] = [await bench.run(pod.podId), await bench.run(other.podId)];
      {
        using _stopped = bench.machine.stopShim(pod);
        using leaving = new Deadline(100, 'the call');
        const impatient = createCtx({ signal: leaving.signal });
        const asking = bench.runtime.containerState(impatient, pod.podId, container.id);
        await expect(asking).rejects.toEqual(code('DEADLINE_EXCEEDED'));
        expect(await bench.stateOf(elsewhere)).toBe('running');
        expect(await bench.runtime.silentShims(ctx)).toEqual([expect.stringContaining(pod.podId)]);
      }
      expect(await bench.stateOf(container)).toBe('running');
      expect(await bench.runtime.silentShims(ctx)).toEqual([]);
      expect(bench.toldOf(pod.podId)).toEqual([]);
    });

    test('a shim that is silent until it dies is dead then', async () => {
      const bench = given();
      const pod = await bench.runPod();
      const running = await bench.run(pod.podId);
      await bench.restart();
      let late: SilentPod;
      {
        using _stopped = bench.machine.stopShim(pod);
        late = (await adopt(pod.podId, [running])) as SilentPod;
        expect(late.shim).toBe('silent');
        bench.machine.killShim(pod);
      }
      expect(await late.later).toMatchObject({ shim: 'dead', exits: new Map() });
    });
  });
}
