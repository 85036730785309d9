import { spawn } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { ProcessInfo } from '../../e2e/harness/machine.ts';
import { isOfRun } from './traces.ts';

const names = { cgroup: 'berth-run', directories: ['/run/berth-run', '/srv/state'] };

test.each([
  ['a shim of the run', 'berth-shim', '0::/berth-run-shims/abc', false, true],
  ['a container of the run', 'sh', '5:memory:/berth-run/abc', false, true],
  ['berthd of the run', 'node main.js --config /srv/state/config.toml', '0::/user.slice', false, true],
  ['a shim of another berthd', 'berth-shim', '0::/berth-shims/abc', false, false],
  ['what has ended', '', '0::/berth-run-shims/abc', true, false],
])('%s', (_name, commandLine, cgroups, isZombie, expected) => {
  expect(isOfRun({ commandLine, cgroups, isZombie }, names)).toBe(expected);
});

test('a process that its parent has not reaped is a zombie', async () => {
  // The shell becomes a program that never asks for its child.
  const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 1000'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const pid = await new Promise<number>((resolve) => parent.stdout.once('data', (text) => resolve(Number(text))));
    const child = new ProcessInfo(pid);
    for (let tries = 0; !child.isZombie && tries < 500; tries++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(child.isZombie).toBe(true);
    expect(new ProcessInfo(process.pid).isZombie).toBe(false);
  } finally {
    parent.kill('SIGKILL');
  }
});
