import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { containerInput } from '../container-input.fixture.ts';
import type { ContainerInput } from '../container-input.ts';
import type { ContainerPlan } from '../shim/gen/berth/shim/ContainerPlan.ts';
import { encodePlan } from '../shim/protocol.ts';
import { buildSpec } from '../spec/build-spec.ts';
import { capabilityNames } from '../spec/capabilities.ts';
import { compilePlan } from './compile-plan.ts';
import { parseMountOptions } from './mount-options.ts';

async function planOf(changes: Partial<ContainerInput>): Promise<ContainerPlan> {
  const input = containerInput(changes);
  const { spec } = await buildSpec(createCtx(), input, {
    heldCapabilities: new Set(capabilityNames),
    architectures: [],
    rlimits: [],
    namespacePath: (pid, name) => `/proc/${pid}/ns/${name}`,
    pausePid: 1,
  });
  const cgroup = {
    path: input.cgroupPath,
    enter: [{ dir: '/sys/fs/cgroup/pids/berth/b', v2: false }],
    killDir: '/sys/fs/cgroup/freezer/berth/b',
    killDirV2: false,
    oomFile: '',
    warnings: [],
  };
  return compilePlan({ spec, rootfs: input.rootfs, cgroup, seccomp: { program: new Uint8Array([1, 2, 3]), flags: 6 } });
}

describe('the plan for a container', () => {
  test('a filter comes with its flags, which were dropped', async () => {
    expect((await planOf({})).process).toMatchObject({ seccomp: Buffer.from([1, 2, 3]), seccomp_flags: 6 });
  });

  test('bytes of arguments and environment arrive as they were', async () => {
    const plan = await planOf({ args: ['echo', '\xff\xfe'], env: ['A=\xc3\xa4\x80'] });
    expect(plan.process?.args?.[1]).toEqual(Buffer.from([0xff, 0xfe]));
    expect(plan.process?.env?.[0]).toEqual(Buffer.from([0x41, 0x3d, 0xc3, 0xa4, 0x80]));
  });

  test('shm, cgroup, file systems and binds become their kinds', async () => {
    const mounts: ContainerInput['mounts'] = [
      {
        source: '/srv',
        destination: '/srv',
        readonly: true,
        recursiveReadonly: true,
        propagation: 'private',
        volume: true,
      },
    ];
    const plan = await planOf({ mounts });
    const kindOf = (destination: string): unknown => plan.mounts?.find((m) => m.destination === destination);
    expect(kindOf('/dev/shm')).toMatchObject({ kind: 'POD_SHM', flags: '14' });
    expect(kindOf('/sys/fs/cgroup')).toMatchObject({ kind: 'CGROUP' });
    expect(kindOf('/proc')).toMatchObject({ kind: 'FS', fstype: 'proc', flags: '14' });
    expect(kindOf('/srv')).toMatchObject({
      kind: 'BIND',
      recursive: true,
      recursive_readonly: true,
      create_source: true,
      flags: '1',
    });
  });

  test('capability bits and unlimited limits survive as 64-bit numbers', async () => {
    const plan = await planOf({
      privileged: true,
      rlimits: [{ type: 'RLIMIT_CORE', soft: 0n, hard: 0xffff_ffff_ffff_ffffn }],
    });
    expect(plan.process?.cap_bounding).toBe(((1n << 41n) - 1n).toString());
    expect(plan.process?.rlimits?.[0]).toEqual({ resource: 4, soft: '0', hard: '18446744073709551615' });
    expect(() => encodePlan(plan)).not.toThrow();
  });

  test('an unknown resource limit is refused by name', async () => {
    await expect(planOf({ rlimits: [{ type: 'RLIMIT_LUCK', soft: 1n, hard: 1n }] })).rejects.toThrow('RLIMIT_LUCK');
  });
});

describe('mount options', () => {
  test.each([
    [['ro', 'nosuid', 'nodev'], 7n, ''],
    [['ro', 'rw'], 0n, ''],
    [['size=64m', 'mode=755', 'strictatime'], 0x1000000n, 'size=64m,mode=755'],
    [['rbind', 'rro'], 1n, ''],
    [['toString'], 0n, 'toString'],
  ])('%j', (options, flags, data) => {
    expect(parseMountOptions(options)).toMatchObject({ flags, data });
  });

  test('what Berth cannot do is refused, not dropped', () => {
    expect(() => parseMountOptions(['tmpcopyup'])).toThrow('tmpcopyup');
  });

  test('an id-mapped bind is told from others', () => {
    expect(parseMountOptions(['rbind', 'ridmap'])).toMatchObject({ idmapped: true, data: '', bind: true });
    expect(parseMountOptions(['rbind']).idmapped).toBe(false);
  });
});
