import { BerthError } from '#base/errors';
import type { CgroupStats } from '../cgroup/stats.ts';
import type { FakeContainer, FakeMachine } from '../machine.fake.ts';
import type { LinuxResources } from '../spec/oci.ts';
import { interfaceLimit, type ProcessStats, type RuntimeSample, type WantedStats } from '../stats.ts';

/** What every container of the fake uses. */
const usedMemory = 1n << 20n;
/** Microseconds; what a kernel takes for a quota. */
const leastQuota = 1_000n;

/** As RuntimeStats.sample. What a test has set counts more than what a container would have. */
export function fakeSample(machine: FakeMachine, wanted: WantedStats): RuntimeSample {
  return {
    cgroups: found(wanted.cgroups, (path) =>
      machine.usage.has(path) ? machine.usage.get(path) : groupStats(machine, path, wanted.detail),
    ),
    networks: found(wanted.networks, (podId) => {
      if ((machine.pods.get(podId)?.process.pausePid ?? 0) === 0) return undefined;
      return machine.networks.get(podId)?.slice(0, interfaceLimit) ?? [];
    }),
    cutNetworks: new Set(
      wanted.networks.filter((podId) => (machine.networks.get(podId)?.length ?? 0) > interfaceLimit),
    ),
    processes: found(
      wanted.processes.map(({ id }) => id),
      (id) => machine.processes.get(id) ?? processStats(machine.container(id)),
    ),
  };
}

function groupStats(machine: FakeMachine, path: string, detail: boolean): CgroupStats | undefined {
  const group = [...machine.groups.values()].find((one) => one.path === path);
  if (!group) return undefined;
  const container = [...machine.allContainers()].find(({ input }) => input.cgroupPath === path);
  const { memoryLimit = -1n, pidsLimit = -1n } = container ? limitsOf(container) : {};
  const usage = group.living ? usedMemory : 0n;
  return {
    cpu: { usageNs: 1_000_000n },
    memory: {
      ...{ usage, workingSet: usage, ...(memoryLimit > 0n && { limit: memoryLimit }) },
      ...(detail && { oomKills: container?.exit?.oomKilled ? 1n : 0n }),
    },
    pids: { current: group.living ? 1n : 0n, ...(detail && pidsLimit > 0n && { limit: pidsLimit }) },
    ...(detail && group.living && { processes: 1 }),
  };
}

function processStats(container: FakeContainer | undefined): ProcessStats | undefined {
  if (!container || container.state === 'exited') return undefined;
  return { descriptors: 3n, sockets: 0n, maxOpenFiles: 1024n };
}

/** Changes what a container may use, all or nothing; gives what takes it back. */
export function fakeUpdate(machine: FakeMachine, cgroupPath: string, resources: LinuxResources): () => Promise<void> {
  const container = [...machine.allContainers()].find(({ input }) => input.cgroupPath === cgroupPath);
  const asked = Object.values(resources).some((value) => value !== undefined);
  if (!container) {
    if (!asked) return async () => undefined;
    throw new BerthError('KERNEL', `write the limits of ${cgroupPath}: ENOENT`);
  }
  const { cpuQuota = 0n, memoryLimit = 0n } = resources;
  if (cpuQuota > 0n && cpuQuota < leastQuota) {
    throw new BerthError('INVALID_ARGUMENT', `write the quota of ${cgroupPath}: EINVAL`);
  }
  if (memoryLimit > 0n && memoryLimit < usedMemory) {
    throw new BerthError('FAILED_PRECONDITION', 'the container uses more memory than the new limit allows');
  }
  container.updates.push(resources);
  return async () => {
    const at = container.updates.lastIndexOf(resources);
    if (at >= 0) container.updates.splice(at, 1);
  };
}

function limitsOf({ input, updates }: FakeContainer): LinuxResources {
  return Object.assign({}, input.resources, ...updates) as LinuxResources;
}

function found<T>(keys: readonly string[], look: (key: string) => T | undefined): Map<string, T> {
  return new Map(
    keys.flatMap((key): [string, T][] => {
      const value = look(key);
      return value === undefined ? [] : [[key, value]];
    }),
  );
}
