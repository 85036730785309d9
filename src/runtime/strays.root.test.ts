import { rmSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { lackOfLinux, LinuxMachine } from './contract/linux-machine.fixture.ts';
import { programs } from './contract/programs.fixture.ts';
import { ctx, RuntimeBench, sigterm } from './contract/runtime-bench.fixture.ts';
import type { AnsweredPod, Known, SilentPod, Stray } from './runtime.ts';

// What only a kernel can show: a shim that lives although nobody can find it, and processes where no container is.

const lack = lackOfLinux();
if (lack !== undefined) console.warn(`skipped: src/runtime/strays.root.test.ts needs ${lack}`);
const asRoot = lack === undefined ? describe : describe.skip;
const patienceMs = 60_000;

asRoot('what is lost to berthd but not to the kernel', () => {
  let machine: LinuxMachine;
  let bench: RuntimeBench;
  beforeAll(async () => {
    machine = new LinuxMachine();
    bench = await RuntimeBench.open(machine);
  }, patienceMs);
  afterEach(() => bench.sweep(), patienceMs);
  afterAll(() => bench.cleanUp(), patienceMs);

  const knowing = (podId: string, containerId: string, processes = true): Known => ({
    isPod: (id) => id === podId,
    isContainer: (id) => id === containerId,
    formerIds: new Set(),
    processes,
  });

  test('a shim whose socket is gone is not dead while it runs: its pod waits, and nobody is killed', async () => {
    const pod = await bench.runPod();
    const container = await bench.run(pod.podId, programs.heeds);
    await bench.restart();
    rmSync(`${machine.podsDirectory}/${pod.podId}/shim.sock`);
    const [found] = await bench.runtime.adopt(ctx, [pod.podId], [container]);
    const silent = { shim: 'silent', shimPid: pod.shimPid, unreachable: true, busy: new Set([container.id]) };
    expect(found).toMatchObject(silent);
    expect(await machine.cgroups.processes(ctx, container.cgroupPath)).not.toEqual([]);
    machine.killShim(pod);
    expect(await (found as SilentPod).later).toMatchObject({ shim: 'dead' });
    expect(await machine.cgroups.processes(ctx, container.cgroupPath)).toEqual([]);
  });

  test('a shim whose socket is gone is killed by who asks for it, and leaves the exits it has seen', async () => {
    const pod = await bench.runPod();
    const [running, ended] = [await bench.run(pod.podId, programs.heeds), await bench.run(pod.podId, programs.ends)];
    const exit = await bench.exitOf(ended);
    await bench.restart();
    rmSync(`${machine.podsDirectory}/${pod.podId}/shim.sock`);
    const [found] = await bench.runtime.adopt(ctx, [pod.podId], [running, ended]);
    await bench.runtime.killSilent(ctx, pod.podId);
    expect(await (found as SilentPod).later).toMatchObject({ shim: 'dead', exits: new Map([[ended.id, exit]]) });
    expect(await machine.cgroups.processes(ctx, running.cgroupPath)).toEqual([]);
    expect(await machine.cgroups.processes(ctx, `${machine.group}-shims`)).toEqual([]);
  });

  test('a process in a group that no container has is found by the shim it descends from, and ended', async () => {
    const { podId } = await bench.runPod();
    const container = await bench.run(podId, programs.heeds);
    const { id, created } = container;
    const elsewhere = `${machine.group}-elsewhere/hidden`;
    await machine.hide(created.pid, elsewhere);
    // It takes a look at every process of the machine, for who asks for it.
    expect(await bench.runtime.strays(ctx, knowing(podId, id, false))).toEqual([]);
    const strays = await bench.runtime.strays(ctx, knowing(podId, id));
    expect(strays).toEqual([
      {
        text: expect.stringMatching(`^process .*${created.pid}.* in cgroup ${elsewhere}, which no container has`),
        living: podId,
        end: expect.any(Function),
      },
    ]);
    await strays[0]?.end?.(ctx);
    expect(await bench.exitOf(container)).toMatchObject({ exitCode: 137, signal: 9 });
    expect(await bench.runtime.strays(ctx, knowing(podId, id))).toEqual([]);
  });

  test('one in the root of all groups is shown, and not ended: everybody is in it', async () => {
    const { podId } = await bench.runPod();
    const container = await bench.run(podId, programs.heeds);
    await machine.hide(container.created.pid, '/');
    const strays = await bench.runtime.strays(ctx, knowing(podId, container.id));
    expect(strays).toEqual([{ text: expect.stringMatching(/^process .* in cgroup \/, which no container has$/) }]);
    expect(Object.keys(strays[0] as Stray)).toEqual(['text']);
    await bench.runtime.signalContainer(ctx, podId, container.id, sigterm);
    expect(await bench.exitOf(container)).toMatchObject({ exitCode: 3 });
  });

  test('who has lost a pod looks at every process, also unasked', async () => {
    const { podId } = await bench.runPod();
    const container = await bench.run(podId);
    const elsewhere = `${machine.group}-elsewhere/hidden`;
    await machine.hide(container.created.pid, elsewhere);
    const strays = await bench.runtime.strays(ctx, knowing('none', 'none', false));
    expect(strays.map(({ text }) => text)).toContainEqual(expect.stringContaining(`in cgroup ${elsewhere}`));
    for (const stray of strays) await stray.end?.(ctx);
    expect(await machine.cgroups.processes(ctx, elsewhere)).toEqual([]);
    expect(await bench.runtime.strays(ctx, knowing('none', 'none', false))).toEqual([]);
    const [found] = await bench.runtime.adopt(ctx, [podId]);
    expect((found as AnsweredPod | SilentPod | { shim: 'dead' }).shim).toBe('dead');
  });
});
