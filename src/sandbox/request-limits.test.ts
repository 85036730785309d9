import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isBerthError } from '#base/errors';
import { containerConfig, podConfig } from './cri-config.fixture.ts';
import { checkedContainerConfig, checkedPodConfig } from './identity.ts';
import { checkContainerLimits, checkPodLimits, checkResourceLimits } from './request-limits.ts';

/** Fields as they matter here; the others have their defaults. */
type Changes = Readonly<Record<string, unknown>>;

const metadata = { name: 'web', uid: 'u', namespace: 'default', attempt: 0 };
const checkPod = (changes: Changes): void => checkPodLimits(checkedPodConfig(podConfig({ metadata, ...changes })));
const checkContainer = (changes: Changes): void =>
  checkContainerLimits(checkedContainerConfig(containerConfig({ metadata: { name: 'app', attempt: 0 }, ...changes })));

const text = (bytes: number): string => 'x'.repeat(bytes);
const list = <T>(entries: number, entry: T): T[] => Array<T>(entries).fill(entry);
const mount = { host_path: '/a', container_path: '/b' };
const deep = (bytes: number): string => `/${text(200)}`.repeat(Math.floor(bytes / 201)).padEnd(bytes, '/');

/** Field, its limit, and a config that has so many. */
const podTable: readonly [string, number, (many: number) => Changes][] = [
  ['labels', 1024 * 1024, (many) => ({ labels: { k: text(many - 1) } })],
  ['annotations', 1024 * 1024, (many) => ({ annotations: { [text(many - 5)]: 'value' } })],
  ['log_directory', 4095, (many) => ({ log_directory: deep(many) })],
  ['a name in log_directory', 255, (many) => ({ log_directory: `/a/${text(many)}/b` })],
  ['metadata.name', 4096, (many) => ({ metadata: { ...metadata, name: text(many) } })],
  ['dns_config.searches', 1024, (many) => ({ dns_config: { searches: list(many, 'a'), servers: [], options: [] } })],
  [
    'linux.sysctls',
    250,
    (many) => ({ linux: { sysctls: Object.fromEntries(list(many, 0).map((_, at) => [`net.a${at}`, '1'])) } }),
  ],
];

const containerTable: readonly [string, number, (many: number) => Changes][] = [
  ['annotations', 1024 * 1024, (many) => ({ annotations: { k: text(many - 1) } })],
  ['mounts', 10_000, (many) => ({ mounts: list(many, mount) })],
  ['mounts[0].host_path', 4095, (many) => ({ mounts: [{ ...mount, host_path: deep(many) }] })],
  ['a name in mounts[0].container_path', 255, (many) => ({ mounts: [{ ...mount, container_path: `/${text(many)}` }] })],
  ['mounts[0].mount_options', 1024, (many) => ({ mounts: [{ ...mount, mount_options: list(many, 'noexec') }] })],
  [
    'devices',
    4096,
    (many) => ({ devices: list(many, { host_path: '/dev/null', container_path: '/dev/x', permissions: 'r' }) }),
  ],
  ['working_dir', 4095, (many) => ({ working_dir: deep(many) })],
  ['stop_signal', 4096, (many) => ({ stop_signal: text(many) })],
  [
    'linux.security_context.supplemental_groups',
    65_536,
    (many) => ({ linux: { security_context: { supplemental_groups: list(many, '7') } } }),
  ],
  [
    'linux.resources.unified',
    256,
    (many) => ({ linux: { resources: { unified: Object.fromEntries(list(many, 0).map((_, at) => [`f${at}`, ''])) } } }),
  ],
];

describe('a pod config', () => {
  test.each(podTable)('has at most so much of %s: %i', (field, limit, make) => {
    expect(() => checkPod(make(limit))).not.toThrow();
    expect(() => checkPod(make(limit + 1))).toThrow(`pod config: ${field} has ${limit + 1}`);
    expect(() => checkPod(make(limit + 1))).toThrow(`at most ${limit} are possible`);
  });

  test('has no zero byte in any text, also not in names', () => {
    expect(() => checkPod({ labels: { 'a\0': 'b' } })).toThrow('labels has a zero byte');
    expect(() => checkPod({ metadata: { ...metadata, name: 'a\0b' } })).toThrow('metadata.name has a zero byte');
  });
});

describe('a container config', () => {
  test.each(containerTable)('has at most so much of %s: %i', (field, limit, make) => {
    expect(() => checkContainer(make(limit))).not.toThrow();
    expect(() => checkContainer(make(limit + 1))).toThrow(`container config: ${field} has ${limit + 1}`);
    expect(() => checkContainer(make(limit + 1))).toThrow(`at most ${limit} are possible`);
  });

  test('may have any command and environment that one message can have: execve has the say', () => {
    expect(() =>
      checkContainer({ args: list(200_000, 'x'), envs: [{ key: 'A', value: Buffer.alloc(6_000_000) }] }),
    ).not.toThrow();
  });

  test('is not too long as a whole, though each of its fields is not', () => {
    const mounts = list(4000, { host_path: deep(4000), container_path: '/b' });
    expect(() => checkContainer({ mounts })).toThrow(
      /its texts and lists have \d+ bytes, at most 12582912 are possible/,
    );
  });
});

test('a change of limits is bounded as the limits are', () => {
  expect(() => checkResourceLimits({ cpuset_cpus: text(65_537) })).toThrow('resources: cpuset_cpus has 65537 bytes');
  expect(() => checkResourceLimits({ cpuset_cpus: text(65_536) })).not.toThrow();
});

test('whatever is in a config, the answer is silence or INVALID_ARGUMENT', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.string()), fc.array(fc.string()), fc.string(), (map, words, word) => {
      try {
        checkPod({ annotations: map, labels: map, hostname: word, linux: { sysctls: map } });
        checkContainer({
          annotations: map,
          command: words,
          args: words,
          working_dir: word,
          stop_signal: word,
        });
      } catch (error) {
        expect(isBerthError(error, 'INVALID_ARGUMENT')).toBe(true);
      }
    }),
    { seed: 8, numRuns: 200 },
  );
});
