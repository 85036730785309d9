import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { randomIds } from '#base/ids';
import { loadAddon } from '#linux/load';
import { endOrphans } from './orphans.ts';

const addon = loadAddon();
const ctx = createCtx();

/** A shell with a child, as a plugin with its helper. */
function start(podId: string): { readonly pid: number; readonly ended: Promise<unknown> } {
  const { pid, pidfd } = addon.spawn({
    path: '/bin/sh',
    argv: ['sh', '-c', 'sleep 1000 & wait'],
    env: ['PATH=/bin:/usr/bin', `CNI_CONTAINERID=${podId}`, 'OTHER=1'],
    fds: [null, null, null],
  });
  return { pid, ended: addon.waitPidfd(pidfd).finally(() => addon.close(pidfd)) };
}

async function childOf(pid: number): Promise<number> {
  for (;;) {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
    if (child !== undefined) return Number(child);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const environment = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return '';
  }
};

test('plugins of the named pods end with their helpers, those of others go on', async () => {
  const [lost, kept] = [randomIds.next(), randomIds.next()];
  const [one, other] = [start(lost), start(kept)];
  const helpers = [await childOf(one.pid), await childOf(other.pid)];
  await endOrphans(ctx, addon, new Set([lost]));
  expect(await one.ended).toEqual({ signal: 9 });
  expect(environment(helpers[0] ?? 0)).toBe('');
  expect(environment(helpers[1] ?? 0)).toContain(kept);
  await endOrphans(ctx, addon, new Set([kept]));
  expect(await other.ended).toEqual({ signal: 9 });
});
