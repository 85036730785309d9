import { describe, expect, test } from '@jest/globals';
import { containerResources } from './container-resources.ts';
import { noResources } from './merge-resources.ts';

describe('what no kernel takes is refused with its field and range', () => {
  test.each([
    ['cpu_period', '999', 'from 1000 to 1000000'],
    ['cpu_period', '1000001', 'from 1000 to 1000000'],
    ['cpu_period', '-1', 'from 1000 to 1000000'],
    ['cpu_quota', '999', 'at least 1000'],
    ['cpu_shares', '-1', 'at least 1'],
    ['memory_limit_in_bytes', '-2', 'bytes, or -1 for no limit'],
    ['memory_swap_limit_in_bytes', '-5', 'bytes of memory and swap together'],
    ['cpuset_cpus', 'zzz', 'such as "0-3,7"'],
    ['cpuset_cpus', '0-', 'such as "0-3,7"'],
    ['cpuset_mems', '0,,1', 'such as "0-3,7"'],
  ])('%s %j', (field, value, range) => {
    expect(() => containerResources({ ...noResources, [field]: value })).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(new RegExp(`^${field} .*: expected .*${range}`)) as unknown,
      }),
    );
  });

  test.each([
    ['cpu_period', '1000'],
    ['cpu_period', '1000000'],
    ['cpu_quota', '1000'],
    ['cpu_quota', '-1'],
    ['cpu_shares', '1'],
    ['memory_limit_in_bytes', '-1'],
    ['memory_swap_limit_in_bytes', '-1'],
    ['cpuset_cpus', '0-3,7,8-15:1/2'],
  ])('%s %j is taken', (field, value) => {
    expect(() => containerResources({ ...noResources, [field]: value })).not.toThrow();
  });
});
