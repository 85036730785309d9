import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { shell, TestPod, type TestContainer } from './harness/pods.ts';

// Whoever starts berthd has limits of his own. Containers have those of the config, as far as berthd may give them.

let berthd: Berthd;
let container: TestContainer;
beforeAll(async () => {
  berthd = await startBerthd({
    before: 'ulimit -S -c 0 && ulimit -S -n 300 && ulimit -S -s 2048 && ulimit -S -p 5000 && ulimit -l 4096',
    config: '[rlimits]\nmsgqueue = "1000:2000"\n',
  });
  await berthd.loadBusybox();
  // Pid 1 is its own, not pause.
  const linux = { security_context: { namespace_options: { pid: 'CONTAINER' } } } as const;
  container = await (await TestPod.run(berthd, { linux })).start(shell('sleep 10000', { linux }));
});
afterAll(() => berthd.teardown());

interface Limit {
  readonly soft: bigint;
  readonly hard: bigint;
}

const unlimited = 0xffff_ffff_ffff_ffffn;
const number = (word: string): bigint => (word === 'unlimited' ? unlimited : BigInt(word));

/** "Max core file size" and so on, of /proc/<pid>/limits. */
function limitsOf(text: string): ReadonlyMap<string, Limit> {
  const lines = [...text.matchAll(/^(Max [a-z -]+?)\s{2,}(\w+)\s+(\w+)/gm)];
  return new Map(
    lines.map(([, name = '', soft = '', hard = '']) => [name, { soft: number(soft), hard: number(hard) }]),
  );
}

const wanted: Readonly<Record<string, Limit>> = {
  'Max cpu time': { soft: unlimited, hard: unlimited },
  'Max file size': { soft: unlimited, hard: unlimited },
  'Max data size': { soft: unlimited, hard: unlimited },
  'Max stack size': { soft: 8_388_608n, hard: unlimited },
  'Max core file size': { soft: unlimited, hard: unlimited },
  'Max processes': { soft: unlimited, hard: unlimited },
  'Max open files': { soft: 1024n, hard: 524_288n },
  'Max locked memory': { soft: 8_388_608n, hard: 8_388_608n },
  'Max msgqueue size': { soft: 1000n, hard: 2000n },
  'Max nice priority': { soft: 0n, hard: 0n },
};

/** What berthd may give. */
function allowed(limit: Limit, own: Limit): Limit {
  const status = readFileSync(`/proc/${berthd.pid}/status`, 'utf8');
  const mayRaise = ((BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(status)?.[1] ?? '0'}`) >> 24n) & 1n) === 1n;
  const hard = mayRaise || limit.hard < own.hard ? limit.hard : own.hard;
  return { soft: limit.soft < hard ? limit.soft : hard, hard };
}

test.each(Object.entries(wanted))('%s', async (name, limit) => {
  const own = limitsOf(readFileSync(`/proc/${berthd.pid}/limits`, 'utf8')).get(name);
  if (own === undefined) throw new Error(`/proc has no "${name}"`);
  const init = limitsOf(await container.sh('cat /proc/1/limits'));
  expect(init.get(name)).toEqual(allowed(limit, own));
  // What an exec starts is the same: it is one itself.
  expect(limitsOf(await container.sh('cat /proc/self/limits')).get(name)).toEqual(allowed(limit, own));
});

test('what berthd may not give is said once, however many containers there are', async () => {
  for (let at = 0; at < 3; at++) await (await TestPod.run(berthd)).sh('true');
  const lines = berthd.log.split('\n');
  expect(lines.filter((line) => line.includes('lower limits than configured')).length).toBeLessThanOrEqual(1);
  expect(lines.filter((line) => /"warning":"rlimit/.test(line))).toEqual([]);
});
