import { describe, expect, test } from '@jest/globals';
import type { OciSeccomp } from '#runtime/spec/oci';
import { SeccompFilters } from './filters.ts';
import { defaultProfile, nativeArchitectures, toSeccompInput } from './resolve.ts';

const allowed = (profile: OciSeccomp): Set<string> =>
  new Set(profile.syscalls.filter((s) => s.action === 'SCMP_ACT_ALLOW' && s.args.length === 0).flatMap((s) => s.names));

describe('RuntimeDefault', () => {
  const plain = defaultProfile(new Set(['CAP_CHOWN']), ['SCMP_ARCH_X86_64']);

  test.each(['read', 'openat', 'execve', 'futex', 'socketpair', 'ptrace', 'statx', 'close_range'])(
    'allows %s',
    (name) => {
      expect(allowed(plain).has(name)).toBe(true);
    },
  );

  test.each([
    'mount',
    'bpf',
    'init_module',
    'kexec_load',
    'open_by_handle_at',
    'setns',
    'unshare',
    'keyctl',
    'add_key',
    'io_uring_setup',
    'userfaultfd',
    'reboot',
    'swapon',
    'pivot_root',
  ])('refuses %s without a capability for it', (name) => {
    expect(allowed(plain).has(name)).toBe(false);
  });

  test.each([
    ['CAP_SYS_ADMIN', 'mount'],
    ['CAP_SYS_CHROOT', 'chroot'],
    ['CAP_SYS_TIME', 'settimeofday'],
    ['CAP_SYS_MODULE', 'init_module'],
    ['CAP_BPF', 'bpf'],
  ])('%s opens %s', (capability, name) => {
    expect(allowed(defaultProfile(new Set([capability]), [])).has(name)).toBe(true);
  });

  test('on arm64 a 32-bit program has its own calls, which exist nowhere else', () => {
    const ofArm = [
      'set_tls',
      'cacheflush',
      'breakpoint',
      'arm_fadvise64_64',
      'arm_sync_file_range',
      'sync_file_range2',
    ];
    const arm = defaultProfile(new Set(), nativeArchitectures('arm64'));
    expect(arm.architectures).toEqual(['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
    expect(ofArm.filter((name) => !allowed(arm).has(name))).toEqual([]);
    expect(ofArm.filter((name) => allowed(plain).has(name))).toEqual([]);
  });

  test('clone3 says ENOSYS, so that a libc falls back to clone', () => {
    expect(plain.syscalls).toContainEqual({ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38, args: [] });
  });

  test('no name is listed twice without arguments: libseccomp would refuse the rule', () => {
    const names = plain.syscalls.filter((s) => s.args.length === 0).flatMap((s) => s.names);
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
  });
});

describe('a profile in libseccomp numbers', () => {
  test('errno actions carry their errno, equal-to-default rules are left out', () => {
    const input = toSeccompInput({
      defaultAction: 'SCMP_ACT_ALLOW',
      architectures: [],
      flags: [],
      syscalls: [
        { names: ['chmod'], action: 'SCMP_ACT_ERRNO', errnoRet: 13, args: [] },
        { names: ['read'], action: 'SCMP_ACT_ALLOW', args: [] },
      ],
    });
    expect(input.defaultAction).toBe(0x7fff0000);
    expect(input.rules).toEqual([{ names: ['chmod'], action: 0x0005000d, args: [] }]);
  });

  test.each(['SCMP_ACT_NOTIFY', 'toString', 'SCMP_ACT_DANCE'])('action %s is refused by name', (action) => {
    expect(() => toSeccompInput({ defaultAction: action, architectures: [], flags: [], syscalls: [] })).toThrow(action);
  });

  test('an architecture nobody knows has no list', () => {
    expect(nativeArchitectures('mips')).toEqual([]);
  });
});

describe('compiled filters', () => {
  test.each(['E2BIG', 'EDOM', 'EINVAL'])('%s of libseccomp is the profile’s mistake', async (code) => {
    const filters = new SeccompFilters({
      compileSeccomp: () => Promise.reject(Object.assign(new Error('seccomp_arch_add'), { code })),
    });
    const profile = { defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_PPC'], flags: [], syscalls: [] };
    await expect(filters.get(profile)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('seccomp profile: '),
    });
  });

  test('RuntimeDefault is loaded as runc loads a profile without flags', async () => {
    const filters = new SeccompFilters({ compileSeccomp: async () => new Uint8Array(8) });
    expect((await filters.get(defaultProfile(new Set(), []))).flags).toBe(4);
  });

  test('equal profiles are compiled once, a failure is not remembered', async () => {
    let compiled = 0;
    let fail = true;
    const filters = new SeccompFilters({
      compileSeccomp: async () => {
        compiled++;
        if (fail) throw new Error('no');
        return new Uint8Array(8);
      },
    });
    await expect(filters.get(defaultProfile(new Set(), []))).rejects.toThrow('no');
    fail = false;
    const [first, second] = await Promise.all([
      filters.get(defaultProfile(new Set(), [])),
      filters.get(defaultProfile(new Set(), [])),
    ]);
    expect(first).toBe(second);
    expect(compiled).toBe(2);
  });
});
