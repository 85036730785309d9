import { readdirSync, readFileSync } from 'node:fs';

import { describe, expect, test } from '@jest/globals';

import { createCtx } from '#base/ctx';

import { loadAddon } from './load.ts';
import { runProcess } from './run-process.ts';

const addon = loadAddon();
const ctx = createCtx();
const shell = (script: string, limit = 65_536) => ({ path: '/bin/sh', argv: ['sh', '-c', script], env: [], limit });

/** The addon, telling which process it starts. */
function spying(tell: (pid: number) => void): typeof addon {
  return {
    ...addon,
    spawn: (options) => {
      const child = addon.spawn(options);
      tell(child.pid);
      return child;
    },
  };
}

/** Neither gone nor a zombie that its parent, whoever that is by now, did not look after. */
function isAlive(pid: number): boolean {
  try {
    return !/^[0-9]+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

describe('runProcess', () => {
  test('gives exit, stdout and stderr apart', async () => {
    const output = await runProcess(ctx, addon, shell('echo out; echo err >&2; exit 3'));
    expect(output).toEqual({ code: 3, stdout: 'out\n', stderr: 'err\n', truncated: false });
  });

  test('a signal is no exit code', async () => {
    expect(await runProcess(ctx, addon, shell('kill -9 $$'))).toMatchObject({ signal: 9, stdout: '' });
  });

  test('the program reads what it is given, or nothing', async () => {
    const text = 'ä'.repeat(200_000);
    const counted = await runProcess(ctx, addon, { ...shell('wc -c'), stdin: text });
    expect(counted.stdout.trim()).toBe('400000');
    expect((await runProcess(ctx, addon, shell('cat'))).stdout).toBe('');
  });

  test('a program that does not read its input is no error', async () => {
    const ended = await runProcess(ctx, addon, { ...shell('exec <&-; echo done'), stdin: 'x'.repeat(1_000_000) });
    expect(ended).toMatchObject({ code: 0, stdout: 'done\n' });
  });

  test.each(['', '>&2'])('who writes without end is killed (cat /dev/zero %s)', async (where) => {
    const output = await runProcess(ctx, addon, shell(`cat /dev/zero ${where} & wait`, 1000));
    expect(output).toMatchObject({ signal: 9, truncated: true });
  });

  test('output over the limit is dropped, and the program still ends', async () => {
    const output = await runProcess(ctx, addon, shell('head -c 3000000 /dev/zero | tr "\\0" a; echo end >&2', 1000));
    expect(output).toMatchObject({ code: 0, stdout: 'a'.repeat(1000), stderr: 'end\n', truncated: true });
  });

  test('an aborted context kills it, even when a grandchild holds the pipes', async () => {
    const controller = new AbortController();
    const running = runProcess(
      createCtx({ signal: controller.signal }),
      addon,
      shell('sleep 5 & echo started; sleep 5'),
    );
    setTimeout(() => controller.abort(new Error('enough')), 50);
    const before = performance.now();
    await expect(running).rejects.toThrow('enough');
    expect(performance.now() - before).toBeLessThan(2000);
  });

  test('and what it started', async () => {
    const controller = new AbortController();
    const script = 'sleep 300 & wait';
    let grandchild = 0;
    const running = runProcess(
      createCtx({ signal: controller.signal }),
      spying((pid) => (grandchild = pid)),
      shell(script),
    );
    running.catch(() => undefined);
    const children = (pid: number): string => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    while (grandchild === 0 || children(grandchild) === '') await new Promise((resolve) => setTimeout(resolve, 5));
    const [sleeper] = children(grandchild).split(' ');
    controller.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    while (isAlive(Number(sleeper))) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  test('a missing program is ENOENT, and no descriptor is left', async () => {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let i = 0; i < 20; i++) {
      const missing = runProcess(ctx, addon, {
        path: '/nonexistent/nft',
        argv: ['nft'],
        env: [],
        stdin: '',
        limit: 10,
      });
      await expect(missing).rejects.toMatchObject({ code: 'ENOENT', path: '/nonexistent/nft' });
      await runProcess(ctx, addon, shell('true'));
    }
    expect(count()).toBeLessThanOrEqual(before + 4);
  });
});
