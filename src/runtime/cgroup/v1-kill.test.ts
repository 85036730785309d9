import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import type { FileOperation, FileResult } from '#linux/addon';
import { freezeAndKill } from './v1-kill.ts';

/** A control group and one below it; what is done to it in order. `state` is what its freezer says. */
function groupWith(state: string | undefined, kill: FileResult = {}) {
  const done: string[] = [];
  const run = (operation: FileOperation): FileResult => {
    if (operation.op === 'list') return { data: operation.path === '/g' ? 'inside\n' : '' };
    if (operation.op === 'read') return state === undefined ? { error: 'ENOENT' } : { data: `${state}\n` };
    if (operation.op === 'write') {
      done.push(`${operation.data} ${operation.path}`);
      return state === undefined ? { error: 'ENOENT' } : {};
    }
    if (operation.op !== 'kill') throw new Error(`unexpected ${operation.op}`);
    done.push(`kill ${operation.path}${operation.held ? ' held' : ''}`);
    return kill;
  };
  return { done, batch: async (operations: readonly FileOperation[]) => operations.map(run) };
}

const thawed = ['THAWED /g/freezer.state', 'THAWED /g/inside/freezer.state'];

describe('killing a v1 group', () => {
  test('it is killed while it stands still, and thawed with what is below it', async () => {
    const group = groupWith('FROZEN');
    await freezeAndKill(group, createCtx(), '/g');
    expect(group.done).toEqual(['FROZEN /g/freezer.state', 'kill /g', 'kill /g/inside', ...thawed]);
  });

  test('where somebody does not freeze, each process is held and looked at, and nothing stays frozen', async () => {
    const group = groupWith('FREEZING');
    await freezeAndKill(group, createCtx({ signal: AbortSignal.abort() }), '/g');
    expect(group.done).toEqual(['FROZEN /g/freezer.state', 'kill /g held', 'kill /g/inside held', ...thawed]);
  });

  test('without a freezer everybody is killed all the same', async () => {
    const group = groupWith(undefined);
    await freezeAndKill(group, createCtx(), '/g');
    expect(group.done).toEqual(expect.arrayContaining(['kill /g held', 'kill /g/inside held']));
  });

  test('a kill that fails leaves nothing frozen', async () => {
    const group = groupWith('FROZEN', { error: 'EMFILE' });
    await expect(freezeAndKill(group, createCtx(), '/g')).rejects.toThrow('EMFILE');
    expect(group.done.slice(-2)).toEqual(thawed);
  });
});
