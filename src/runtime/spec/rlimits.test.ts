import { describe, expect, test } from '@jest/globals';
import { unlimited } from '#config/values';
import { usualRlimits } from './rlimits.fixture.ts';
import { containerRlimits, rlimitNumbers, type RlimitMachine } from './rlimits.ts';

const free: RlimitMachine = { mayRaise: true, hardOf: () => 0n, threads: 2000n, mostFiles: 1_048_576n };

function limitOf(machine: Partial<RlimitMachine>, type: string): { soft: bigint; hard: bigint } | undefined {
  const found = containerRlimits(usualRlimits, { ...free, ...machine }).rlimits.find((limit) => limit.type === type);
  return found && { soft: found.soft, hard: found.hard };
}

describe('limits of processes in containers', () => {
  test('there is one for each that the kernel has: none comes from whoever started berthd', () => {
    const { rlimits, cut } = containerRlimits(usualRlimits, free);
    expect(rlimits.map(({ type }) => type)).toEqual(Object.keys(rlimitNumbers).toSorted());
    expect(cut).toEqual([]);
  });

  test.each([
    ['RLIMIT_NOFILE', 1024n, 524_288n],
    ['RLIMIT_CORE', unlimited, unlimited],
    ['RLIMIT_NPROC', unlimited, unlimited],
    ['RLIMIT_STACK', 8_388_608n, unlimited],
    ['RLIMIT_SIGPENDING', 1000n, 1000n],
    ['RLIMIT_NICE', 0n, 0n],
  ])('%s', (type, soft, hard) => {
    expect(limitOf({}, type)).toEqual({ soft, hard });
  });

  test('what berthd may not give is cut, and named once for all', () => {
    const core = rlimitNumbers['RLIMIT_CORE'];
    const nofile = rlimitNumbers['RLIMIT_NOFILE'];
    const hardOf = (resource: number): bigint => (resource === core ? 0n : resource === nofile ? 512n : unlimited);
    const machine = { ...free, mayRaise: false, hardOf };
    expect(limitOf(machine, 'RLIMIT_CORE')).toEqual({ soft: 0n, hard: 0n });
    expect(limitOf(machine, 'RLIMIT_NOFILE')).toEqual({ soft: 512n, hard: 512n });
    const { cut } = containerRlimits(usualRlimits, machine);
    expect(cut).toEqual(['RLIMIT_CORE unlimited: 0', 'RLIMIT_NOFILE 524288: 512']);
  });

  test('no limit of open files is above what the kernel lets anybody have', () => {
    expect(limitOf({ mostFiles: 4096n }, 'RLIMIT_NOFILE')).toEqual({ soft: 1024n, hard: 4096n });
  });
});
