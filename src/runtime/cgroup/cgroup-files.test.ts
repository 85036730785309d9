import { describe, expect, test } from '@jest/globals';
import { ancestorsOf, checkCgroupPath } from './cgroup-path.ts';
import { detectLayout } from './detect.ts';
import { failure } from './tree.ts';
import { v1Writes } from './v1-writes.ts';
import { cpuWeight, v2Writes } from './v2-writes.ts';

const line = (mountpoint: string, fstype: string, options: string): string =>
  `30 25 0:26 / ${mountpoint} rw,relatime shared:9 - ${fstype} ${fstype} ${options}`;

describe('the layout of control groups', () => {
  test('v2 when /sys/fs/cgroup itself is of that type', () => {
    expect(detectLayout(line('/sys/fs/cgroup', 'cgroup2', 'rw,nsdelegate'))).toEqual({
      version: 2,
      mountpoint: '/sys/fs/cgroup',
    });
  });

  test('hybrid is v1, even when the v2 tree comes first (nested machines)', () => {
    const text = [
      line('/sys/fs/cgroup', 'tmpfs', 'rw,mode=755'),
      line('/sys/fs/cgroup/unified', 'cgroup2', 'rw'),
      line('/sys/fs/cgroup/cpu,cpuacct', 'cgroup', 'rw,cpu,cpuacct'),
      line('/sys/fs/cgroup/systemd', 'cgroup', 'rw,xattr,name=systemd'),
      line('/sys/fs/cgroup/memory', 'cgroup', 'rw,memory'),
      line('/other/memory', 'cgroup', 'rw,memory'),
    ].join('\n');
    expect(detectLayout(text)).toEqual({
      version: 1,
      hierarchies: [
        { mountpoint: '/sys/fs/cgroup/cpu,cpuacct', controllers: ['cpu', 'cpuacct'] },
        { mountpoint: '/sys/fs/cgroup/systemd', controllers: ['name=systemd'] },
        { mountpoint: '/sys/fs/cgroup/memory', controllers: ['memory'] },
      ],
    });
  });

  test('nothing mounted is v1 without hierarchies', () => {
    expect(detectLayout('')).toEqual({ version: 1, hierarchies: [] });
  });
});

describe('cgroup parents', () => {
  test.each(['/berth', '/kubepods/burstable/pod1', '/kubepods.slice/a'])('%s is taken', (path) => {
    expect(() => checkCgroupPath(path)).not.toThrow();
  });

  test.each(['', 'relative', '/a/../b', '/', '/a//b', '/a/.', '/a\nb', `/${'x'.repeat(256)}`])(
    '%j is refused',
    (path) => {
      expect(() => checkCgroupPath(path)).toThrow('absolute path of plain names');
    },
  );

  test('a systemd slice is refused with what to change', () => {
    expect(() => checkCgroupPath('kubepods-burstable.slice')).toThrow('cgroupDriver: cgroupfs');
  });

  test('ancestors from the top', () => {
    expect(ancestorsOf('/a/b/c')).toEqual(['/a', '/a/b']);
    expect(ancestorsOf('/a')).toEqual([]);
  });
});

describe('limits as v1 files', () => {
  const written = (resources: Parameters<typeof v1Writes>[0]): [string, string][] =>
    v1Writes(resources).map(({ file, data }) => [file, data]);

  test('each limit has its file, in an order a fresh group takes', () => {
    const limits = {
      cpuShares: 512n,
      cpuPeriod: 50_000n,
      cpuQuota: 25_000n,
      memoryLimit: 64n << 20n,
      memorySwap: 128n << 20n,
      pidsLimit: 100n,
    };
    expect(written(limits)).toEqual([
      ['cpu.shares', '512'],
      ['cpu.cfs_period_us', '50000'],
      ['cpu.cfs_quota_us', '25000'],
      ['memory.limit_in_bytes', '67108864'],
      ['memory.memsw.limit_in_bytes', '134217728'],
      ['pids.max', '100'],
    ]);
  });

  test('nothing asked, nothing written', () => {
    expect(written({})).toEqual([]);
  });

  test('unlimited pids, huge pages, device rules', () => {
    expect(
      written({
        pidsLimit: 0n,
        hugepageLimits: [{ pageSize: '2MB', limit: 4n << 20n }],
        devices: [
          { allow: false, type: 'a', access: 'rwm' },
          { allow: true, type: 'c', major: 136, access: 'rw' },
        ],
      }),
    ).toEqual([
      ['pids.max', 'max'],
      ['hugetlb.2MB.limit_in_bytes', '4194304'],
      ['devices.deny', 'a'],
      ['devices.allow', 'c 136:* rw'],
    ]);
  });

  test('huge pages of a size that is not there are refused by name, unless none are asked for', () => {
    for (const writes of [v1Writes, v2Writes]) {
      const of = (limit: bigint) => writes({ hugepageLimits: [{ pageSize: '3MB', limit }] })[0]?.tolerateMissing;
      expect([of(0n), of(1n)]).toEqual([true, false]);
    }
    const write = { op: 'write', path: '/sys/fs/cgroup/hugetlb/x/hugetlb.3MB.limit_in_bytes', data: '1' } as const;
    expect(failure(write, 'ENOENT')).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'hugepage_limits: this node has no huge pages of 3MB',
    });
    expect(failure(write, 'EACCES')).toMatchObject({ code: 'KERNEL' });
  });

  test('unified settings and odd page sizes are refused', () => {
    expect(() => v1Writes({ unified: { 'memory.high': '1' } })).toThrow('cgroup v2');
    expect(() => v1Writes({ hugepageLimits: [{ pageSize: '../x', limit: 1n }] })).toThrow('huge page size');
  });
});

describe('limits as v2 files', () => {
  test.each([
    [2n, 1n],
    [1024n, 100n],
    [262_144n, 10_000n],
    [0n, 1n],
  ])('%s shares are weight %s', (shares, weight) => {
    expect(cpuWeight(shares)).toBe(weight);
  });

  test('weight never falls when shares rise', () => {
    for (let shares = 2n; shares < 262_144n; shares = (shares * 5n) / 4n + 1n) {
      expect(cpuWeight(shares + 1n)).toBeGreaterThanOrEqual(cpuWeight(shares));
    }
  });

  test('swap is counted alone', () => {
    expect(v2Writes({ memoryLimit: 100n, memorySwap: 150n })).toEqual([
      expect.objectContaining({ file: 'memory.max', data: '100' }),
      expect.objectContaining({ file: 'memory.swap.max', data: '50' }),
    ]);
    expect(() => v2Writes({ memorySwap: 1n })).toThrow('needs a memory limit');
  });

  test.each([
    [{ cpuQuota: -1n }, 'max 100000'],
    [{ cpuQuota: 5000n, cpuPeriod: 10_000n }, '5000 10000'],
    [{ cpuPeriod: 10_000n }, 'max 10000'],
  ])('%j is cpu.max', (resources, data) => {
    expect(v2Writes(resources)).toEqual([expect.objectContaining({ file: 'cpu.max', data })]);
  });

  test.each(['../memory.max', 'cgroup.procs', 'memory', 'a/b.c', 'memory.max\n'])(
    'unified key %j is refused',
    (file) => {
      expect(() => v2Writes({ unified: { [file]: '1' } })).toThrow('not a controller');
    },
  );
});
