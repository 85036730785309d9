import { describe, expect, test } from '@jest/globals';

import { sampleGroups } from './sample.ts';
import { deviceLimit, type FileTexts } from './stats.ts';
import { field, toLimit, toPressure, toWhole } from './stats-text.ts';
import { parseV1Stats, v1StatsFormat } from './v1-stats.ts';
import { parseV2Stats, v2StatsFormat } from './v2-stats.ts';

const textsOf =
  (files: Readonly<Record<string, string>>): FileTexts =>
  (name) =>
    files[name] ?? '';

// As Linux 6.18 wrote them.
const v1Files = {
  'cpuacct.usage': '9223372036854775809\n',
  'cpuacct.usage_user': '17000000\n',
  'cpuacct.usage_sys': '5000000\n',
  'cpu.stat': 'nr_periods 12\nnr_throttled 3\nthrottled_time 450000000\nnr_bursts 0\nburst_time 0\n',
  'memory.usage_in_bytes': '52428800\n',
  'memory.limit_in_bytes': '67108864\n',
  'memory.memsw.limit_in_bytes': '100663296\n',
  'memory.stat': `cache 11186176
rss 1
inactive_file 2
hierarchical_memory_limit 67108864
total_cache 1844244
total_rss 40000000
total_mapped_file 51646
total_swap 4096
total_pgfault 2073
total_pgmajfault 23
total_inactive_file 1048576
`,
  'memory.max_usage_in_bytes': '60000000\n',
  'memory.kmem.usage_in_bytes': '262144\n',
  'memory.failcnt': '7\n',
  'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
  'pids.current': '3\n',
  'pids.max': 'max\n',
  'cgroup.procs': '101\n102\n',
  'blkio.throttle.io_service_bytes_recursive':
    '254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 8192\n254:0 Total 12288\nTotal 12288\n',
  'blkio.throttle.io_serviced_recursive': '254:0 Read 1\n254:0 Write 2\nTotal 3\n',
  'hugetlb.2MB.usage_in_bytes': '2097152\n',
  'hugetlb.2MB.max_usage_in_bytes': '4194304\n',
};

const v2Files = {
  'cpu.stat':
    'usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 12\nnr_throttled 3\nthrottled_usec 450000\n',
  'cpu.pressure':
    'some avg10=1.25 avg60=0.50 avg300=0.10 total=18446744073709551615\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n',
  'memory.current': '52428800\n',
  'memory.max': 'max\n',
  'memory.stat': `anon 40000000
file 1844244
kernel 262144
file_mapped 51646
inactive_anon 5
inactive_file 1048576
pgfault 2073
pgmajfault 23
`,
  'memory.swap.current': '4096\n',
  'memory.swap.max': '33554432\n',
  'memory.peak': '60000000\n',
  'memory.events': 'low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n',
  'pids.current': '3\n',
  'pids.max': '100\n',
  'cgroup.procs': '101\n102\n',
  'io.stat': '254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n7:1 \n',
  'hugetlb.2MB.current': '2097152\n',
};

const memory = {
  usage: 52428800n,
  workingSet: 51380224n,
  rss: 40000000n,
  cache: 1844244n,
  mappedFile: 51646n,
  pageFaults: 2073n,
  majorPageFaults: 23n,
  maxUsage: 60000000n,
  kernel: 262144n,
  failures: 7n,
  oomKills: 2n,
};
const disk = { major: 254, minor: 0, readBytes: 4096n, writeBytes: 8192n, reads: 1n, writes: 2n };

describe('numbers of a group', () => {
  test('of cgroup v1', () => {
    expect(parseV1Stats(textsOf(v1Files), ['2MB'])).toEqual({
      cpu: {
        usageNs: 9223372036854775809n,
        userNs: 17000000n,
        systemNs: 5000000n,
        periods: 12n,
        throttledPeriods: 3n,
        throttledNs: 450000000n,
      },
      memory: { ...memory, limit: 67108864n },
      swap: { usage: 4096n, limit: 33554432n },
      pids: { current: 3n },
      io: [disk],
      processes: 2,
      hugepages: [{ pageSize: '2MB', usage: 2097152n, maxUsage: 4194304n }],
    });
  });

  test('of cgroup v2', () => {
    expect(parseV2Stats(textsOf(v2Files), ['2MB'])).toEqual({
      cpu: {
        usageNs: 1500000000n,
        userNs: 1000000000n,
        systemNs: 500000000n,
        periods: 12n,
        throttledPeriods: 3n,
        throttledNs: 450000000n,
        pressure: {
          some: { avg10: 1.25, avg60: 0.5, avg300: 0.1, total: 18446744073709551615n },
          full: { avg10: 0, avg60: 0, avg300: 0, total: 5n },
        },
      },
      memory,
      swap: { usage: 4096n, limit: 33554432n },
      pids: { current: 3n, limit: 100n },
      io: [disk, { major: 7, minor: 1, readBytes: 0n, writeBytes: 0n, reads: 0n, writes: 0n }],
      processes: 2,
      hugepages: [{ pageSize: '2MB', usage: 2097152n }],
    });
  });

  test('tells of no more devices than the bound, and that there are more', () => {
    const v1 = (device: number): string => `8:${device} Read 1\n8:${device} Write 2\n8:${device} Total 3\n`;
    const v2 = (device: number): string => `8:${device} rbytes=1 wbytes=2 rios=1 wios=2 dbytes=0 dios=0\n`;
    const parsed = (count: number) => {
      const devices = Array.from({ length: count }, (_, at) => at);
      const text = devices.map(v1).join('');
      const names = ['blkio.throttle.io_service_bytes_recursive', 'blkio.throttle.io_serviced_recursive'];
      const files = { ...Object.fromEntries(names.map((name) => [name, text])), 'io.stat': devices.map(v2).join('') };
      return [parseV1Stats(textsOf(files)), parseV2Stats(textsOf(files))];
    };
    for (const { io, ...more } of parsed(deviceLimit)) {
      expect(io).toHaveLength(deviceLimit);
      expect(more).not.toHaveProperty('moreDevices');
    }
    for (const { io, moreDevices } of parsed(deviceLimit + 1)) {
      expect(io?.map(({ minor, writeBytes, reads }) => [minor, writeBytes, reads])).toEqual(
        Array.from({ length: deviceLimit }, (_, at) => [at, 2n, 1n]),
      );
      expect(moreDevices).toBe(true);
    }
  });

  test.each([
    ['nothing', () => ''],
    ['garbage', () => '\u00ff\u0000 -1 max 99999999999999999999999 avg10=x\n254:0 Read\n0:0 rbytes=-'],
    ['other lines', () => 'Error: no such thing\n'],
  ])('%s gives no numbers, and no error', (_what, text) => {
    const { processes: _v1, ...v1 } = parseV1Stats(text, ['2MB']);
    const { processes: _v2, io: _io, ...v2 } = parseV2Stats(text, ['2MB']);
    expect([v1, v2]).toEqual([{}, {}]);
  });

  test('a limit of cgroup v1 that means none is none, and swap has none without it', () => {
    const none = '9223372036854771712\n';
    const files = { ...v1Files, 'memory.limit_in_bytes': none, 'memory.memsw.limit_in_bytes': none };
    const stats = parseV1Stats(textsOf(files));
    expect(stats.memory).not.toHaveProperty('limit');
    expect(stats.swap).toEqual({ usage: 4096n });
  });
});

describe('the kernel’s texts', () => {
  test('whole numbers up to 2^64 - 1', () => {
    expect(toWhole('18446744073709551615\n')).toBe(2n ** 64n - 1n);
    expect([toWhole('18446744073709551616'), toWhole('-1'), toWhole(''), toWhole('1 2')]).toEqual(
      Array(4).fill(undefined),
    );
    expect(toLimit('max\n')).toBeUndefined();
  });

  test('a key is not found inside another one', () => {
    const text = 'total_cache 1\ncache 2\nlast 3';
    expect([field(text, 'cache'), field(text, 'total_cache'), field(text, 'last'), field(text, 'total')]).toEqual([
      2n,
      1n,
      3n,
      undefined,
    ]);
  });

  test('pressure has only some before Linux 5.13', () => {
    expect(toPressure('some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n')).toEqual({
      some: { avg10: 0, avg60: 0, avg300: 0, total: 9n },
    });
  });
});

describe('a sample', () => {
  const readers = (files: Readonly<Record<string, string>>, broken: readonly string[] = []) => {
    const trips: number[] = [];
    return {
      trips,
      readEach: async (groups: readonly string[], wanted: readonly { before: string; after: string }[]) => {
        trips.push(groups.length);
        return groups.map((group) =>
          wanted
            .map(({ after }) => `${broken.includes(group) ? '\x01' : (files[after.slice(1)] ?? '\x01')}\0`)
            .join(''),
        );
      },
    };
  };

  test('reads many groups in few trips; one that is gone hides no other', async () => {
    const groups = Array.from({ length: 130 }, (_, at) => `/pod${at}`);
    const addon = readers(v2Files, ['/pod3']);
    const found = await sampleGroups(addon, v2StatsFormat(['2MB']), () => '/sys/fs/cgroup', groups, true);
    expect(addon.trips).toEqual([64, 64, 2]);
    expect([...found.keys()]).toEqual(groups.filter((group) => group !== '/pod3'));
    expect(found.get('/pod129')).toEqual(parseV2Stats(textsOf(v2Files), ['2MB']));
  });

  test('without detail reads only what a kubelet asks for', async () => {
    const addon = readers(v1Files);
    const found = await sampleGroups(addon, v1StatsFormat(['2MB']), (name) => `/${name}`, ['/pod'], false);
    const stats = found.get('/pod');
    expect(stats?.memory).toEqual(expect.objectContaining({ limit: 67108864n, workingSet: 51380224n }));
    expect(stats).not.toHaveProperty('io');
    expect(stats?.memory).not.toHaveProperty('oomKills');
  });

  test('a kernel without a controller has no numbers of it', async () => {
    const rootOf = (name: string): string | undefined => (name === 'memory' ? undefined : `/${name}`);
    const found = await sampleGroups(readers(v1Files), v1StatsFormat([]), rootOf, ['/pod'], true);
    expect(found.get('/pod')).toMatchObject({ pids: { current: 3n } });
    expect(found.get('/pod')).not.toHaveProperty('memory');
  });
});
