import { afterEach, describe, expect, test } from '@jest/globals';
import { randomIds } from '#base/ids';
import type { Known, Stray } from '../runtime.ts';
import { programs } from './programs.fixture.ts';
import { ctx, type RuntimeBench, type RunningContainer } from './runtime-bench.fixture.ts';

/** What nobody knows: it is found and can be ended, and nothing else is touched. */
export function straysContract(given: () => RuntimeBench): void {
  describe('strays', () => {
    afterEach(() => given().sweep());

    const knowing = (pods: readonly string[], containers: readonly RunningContainer[], more = {}): Known => ({
      isPod: (id) => pods.includes(id),
      isContainer: (id) => containers.some((one) => one.id === id),
      formerIds: new Set<string>(),
      processes: true,
      ...more,
    });

    const end = async (strays: readonly Stray[]): Promise<void> => {
      for (const stray of strays) await stray.end?.(ctx);
    };

    const processesIn = async ({ cgroupPath }: RunningContainer): Promise<number> => {
      const wanted = { cgroups: [cgroupPath], networks: [], processes: [], detail: true };
      return (await given().runtime.sample(ctx, wanted)).cgroups.get(cgroupPath)?.processes ?? 0;
    };

    test('there are none where everybody is known', async () => {
      const bench = given();
      const { podId } = await bench.runPod();
      const containers = [await bench.run(podId), await bench.create(podId)];
      expect(await bench.runtime.strays(ctx, knowing([podId], containers))).toEqual([]);
    });

    test('a container is found with its group and its document, and its end leaves the others', async () => {
      const bench = given();
      const { podId } = await bench.runPod();
      const [kept, lost] = [await bench.run(podId), await bench.run(podId)];
      const known = knowing([podId], [kept]);
      const strays = await bench.runtime.strays(ctx, known);
      expect(strays.map(({ living }) => living).toSorted()).toEqual([lost.id, undefined]);
      for (const { text } of strays) expect(text).toContain(lost.id);
      await end(strays);
      await bench.exitOf(lost);
      expect(await bench.stateOf(kept)).toBe('running');
      expect(await bench.runtime.strays(ctx, known)).toEqual([]);
      await bench.runtime.endContainer(ctx, podId, lost.id);
    });

    test('a container of another parent is found by an id that was given', async () => {
      const bench = given();
      const { podId } = await bench.runPod();
      const id = randomIds.next();
      const lost = await bench.run(podId, programs.sleeps, {
        id,
        cgroupPath: `${bench.machine.group}-elsewhere/${id}`,
      });
      const known = knowing([podId], [], { formerIds: new Set([id]) });
      const strays = await bench.runtime.strays(ctx, known);
      expect(strays.map(({ living }) => living).toSorted()).toEqual([id, undefined]);
      await end(strays);
      expect(await processesIn(lost)).toBe(0);
      expect(await bench.runtime.strays(ctx, known)).toEqual([]);
    });

    test('a pod is found with all that was in it, and its end ends it', async () => {
      const bench = given();
      const [kept, lost] = [await bench.runPod(), await bench.runPod()];
      const [stays, goes] = [await bench.run(kept.podId), await bench.run(lost.podId)];
      await bench.restart();
      await bench.runtime.adopt(ctx, [kept.podId], [stays]);
      const known = knowing([kept.podId], [stays]);
      const strays = await bench.runtime.strays(ctx, known);
      expect(strays.map(({ living }) => living).toSorted()).toEqual([goes.id, lost.podId].toSorted());
      await end(strays);
      expect(await processesIn(goes)).toBe(0);
      expect((await bench.runtime.documents(ctx)).has(lost.podId)).toBe(false);
      expect(await bench.runtime.strays(ctx, known)).toEqual([]);
      expect(await bench.stateOf(stays)).toBe('running');
    });
  });
}
