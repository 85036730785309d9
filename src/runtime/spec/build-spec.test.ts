import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { containerInput } from '../container-input.fixture.ts';
import type { ContainerInput, MountInput } from '../container-input.ts';
import { buildSpec, type SpecSurroundings } from './build-spec.ts';
import { capabilityNames } from './capabilities.ts';
import { podShmSource, sourceRequired } from './mounts.ts';
import type { OciSpec } from './oci.ts';

const around: SpecSurroundings = {
  heldCapabilities: new Set(capabilityNames),
  architectures: ['SCMP_ARCH_X86_64'],
  rlimits: [],
  namespacePath: (pid, name) => `/proc/${pid}/ns/${name}`,
  pausePid: 42,
};

async function specOf(changes: Partial<ContainerInput>, more: Partial<SpecSurroundings> = {}): Promise<OciSpec> {
  return (await buildSpec(createCtx(), containerInput(changes), { ...around, ...more })).spec;
}

const mount = (destination: string, changes: Partial<MountInput> = {}): MountInput => ({
  source: '/srv/x',
  destination,
  readonly: false,
  recursiveReadonly: false,
  propagation: 'private',
  volume: true,
  ...changes,
});

describe('the OCI spec of a container', () => {
  test('joins the pod where it shares, and has its own mount, cgroup and pid namespace', async () => {
    const { linux } = await specOf({});
    expect(Object.fromEntries(linux.namespaces.map(({ type, path }) => [type, path]))).toEqual({
      mount: undefined,
      cgroup: undefined,
      network: '/proc/42/ns/net',
      ipc: '/proc/42/ns/ipc',
      uts: '/proc/42/ns/uts',
      pid: undefined,
    });
  });

  test.each([
    ['pod', { pid: 'pod' as const }, '/proc/42/ns/pid'],
    ['target', { pid: { target: 'c' } }, '/proc/77/ns/pid'],
  ])('pid namespace %s is joined by path', async (_what, changes, path) => {
    const { linux } = await specOf(changes, { targetPid: 77 });
    expect(linux.namespaces.find(({ type }) => type === 'pid')?.path).toBe(path);
  });

  test('no rule opens the console of the node, which a container could make a node for', async () => {
    const { linux } = await specOf({});
    const opens = linux.resources.devices?.filter(
      ({ major, minor, access }) => major === 5 && /[rw]/.test(access) && minor === 1,
    );
    expect(opens).toEqual([]);
  });

  test('node namespaces are not listed', async () => {
    const { linux } = await specOf({ pid: 'node', network: 'node', ipc: 'node', uts: 'node' });
    expect(linux.namespaces.map(({ type }) => type)).toEqual(['mount', 'cgroup']);
  });

  test('its terminals are counted: none can use up what the machine has', async () => {
    const spec = await specOf({ privileged: true });
    expect(spec.mounts.find(({ type }) => type === 'devpts')?.options).toContain('max=1024');
  });

  test('requested mounts replace system mounts of the same place and come parents first', async () => {
    const mounts = [mount('/data/deep'), mount('/data/'), mount('/dev/shm')];
    const spec = await specOf({ mounts });
    const destinations = spec.mounts.map(({ destination }) => destination);
    expect(destinations.filter((destination) => destination === '/dev/shm')).toHaveLength(1);
    expect(destinations.indexOf('/data')).toBeLessThan(destinations.indexOf('/data/deep'));
    expect(spec.mounts.some(({ source }) => source === podShmSource)).toBe(false);
  });

  test.each([
    [{ readonly: true }, 'ro', 'rprivate'],
    [{ readonly: true, recursiveReadonly: true }, 'rro', 'rprivate'],
    [{ propagation: 'hostToContainer' as const }, 'rw', 'rslave'],
    [{ propagation: 'bidirectional' as const }, 'rw', 'rshared'],
  ])('mount %j gets options %s and %s', async (changes, access, propagation) => {
    const spec = await specOf({ mounts: [mount('/data', changes)] });
    const options = spec.mounts.find(({ destination }) => destination === '/data')?.options;
    expect(options).toEqual(expect.arrayContaining(['rbind', access, propagation]));
  });

  test('pod files must exist, volumes are created when missing', async () => {
    const spec = await specOf({ mounts: [mount('/v'), mount('/etc/hosts', { volume: false })] });
    const optionsOf = (place: string): readonly string[] =>
      spec.mounts.find(({ destination }) => destination === place)?.options ?? [];
    expect(optionsOf('/v')).not.toContain(sourceRequired);
    expect(optionsOf('/etc/hosts')).toContain(sourceRequired);
  });

  test('a rule of a profile that wants a capability counts where the container has it', async () => {
    const rule = { names: ['mount'], action: 'SCMP_ACT_ERRNO', args: [], withCaps: ['CAP_SYS_ADMIN'] };
    const profile = { defaultAction: 'SCMP_ACT_ALLOW', architectures: [], flags: [], syscalls: [rule] };
    const rulesWith = async (add: readonly string[]): Promise<number | undefined> => {
      const capabilities = { add, drop: [], ambient: [] };
      return (await specOf({ seccomp: { type: 'profile', profile }, capabilities })).linux.seccomp?.syscalls.length;
    };
    expect(await rulesWith([])).toBe(0);
    expect(await rulesWith(['CAP_SYS_ADMIN'])).toBe(1);
  });

  test('privileged: no seccomp, nothing masked, /sys and cgroups writable, every device allowed', async () => {
    const spec = await specOf({ privileged: true });
    expect(spec.linux.seccomp).toBeUndefined();
    expect(spec.linux.maskedPaths).toEqual([]);
    expect(spec.linux.readonlyPaths).toEqual([]);
    expect(spec.linux.resources.devices).toEqual([{ allow: true, type: 'a', access: 'rwm' }]);
    expect(spec.mounts.find(({ destination }) => destination === '/sys')?.options).toContain('rw');
  });

  test('privileged with users of its own: of the devices those that everybody may use', async () => {
    const users = { uids: { hostId: 300_000, length: 65_536 }, gids: { hostId: 300_000, length: 65_536 } };
    const { resources, devices } = (await specOf({ privileged: true, users })).linux;
    expect(resources.devices?.[0]).toEqual({ allow: false, type: 'a', access: 'rwm' });
    const allowed = resources.devices?.filter(({ allow, access }) => allow && access !== 'm') ?? [];
    expect(allowed.filter(({ type }) => type === 'a')).toEqual([]);
    const closed = devices.filter(({ fileMode }) => (fileMode & 0o6) === 0);
    const isAllowed = ({ type, major, minor }: (typeof devices)[number]): boolean =>
      allowed.some((rule) => rule.type === type && rule.major === major && rule.minor === minor);
    expect(closed.filter(isAllowed).map(({ path }) => path)).toEqual([]);
    expect(allowed).toContainEqual({ allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' });
  });

  test('unprivileged: deny all devices first', async () => {
    const spec = await specOf({});
    expect(spec.linux.resources.devices?.[0]).toEqual({ allow: false, type: 'a', access: 'rwm' });
    expect(spec.linux.devices.map(({ path }) => path)).toContain('/dev/null');
  });

  test('a device that does not exist is named', async () => {
    const devices = [{ hostPath: '/dev/berth-none', containerPath: '/dev/x', permissions: 'rw' }];
    await expect(specOf({ devices })).rejects.toThrow('device /dev/berth-none does not exist');
  });

  test('a requested device gets its node and its rule', async () => {
    const devices = [{ hostPath: '/dev/null', containerPath: '/dev/mine', permissions: 'rw' }];
    const spec = await specOf({ devices });
    expect(spec.linux.devices).toContainEqual(expect.objectContaining({ path: '/dev/mine', major: 1, minor: 3 }));
    expect(spec.linux.resources.devices).toContainEqual({ allow: true, type: 'c', major: 1, minor: 3, access: 'rw' });
  });

  test('limits of processes are the usual ones, but for those that are asked for', async () => {
    const limit = (type: string, soft: bigint) => ({ type, soft, hard: 9n });
    const rlimits = [limit('RLIMIT_NOFILE', 1n), limit('RLIMIT_CORE', 2n)];
    const spec = await specOf({ rlimits: [limit('RLIMIT_CORE', 3n)] }, { rlimits });
    expect(spec.process.rlimits).toEqual([limit('RLIMIT_CORE', 3n), limit('RLIMIT_NOFILE', 1n)]);
  });

  test('two containers never share mutable parts of a default', async () => {
    const [first, second] = await Promise.all([specOf({}), specOf({})]);
    expect(first.mounts[0]).not.toBe(second.mounts[0]);
  });
});
