import { afterEach, expect, test } from '@jest/globals';
// eslint-disable-next-line no-restricted-imports -- tests may start processes
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { explain } from './failure.ts';
import type { Session } from './session.ts';
import { shutdown, startOf } from './shutdown.ts';
import { wholeNumber } from './values.ts';

/** A berthd that says which process it is. */
function sessionOf(pid: number | undefined) {
  const notes: string[] = [];
  const printed: string[] = [];
  const session = {
    admin: { call: async () => ({ stopping: true, ...(pid === undefined ? {} : { pid }) }) },
    note: (text: string) => void notes.push(text),
    print: (text: string) => void printed.push(text),
  } as unknown as Session;
  return { session, notes, printed };
}

const sleepers: ChildProcess[] = [];
afterEach(() => {
  for (const child of sleepers.splice(0)) child.kill('SIGKILL');
});

function sleeper(): ChildProcess {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  sleepers.push(child);
  return child;
}

test('shutdown comes back when the process has gone, and says meanwhile what it waits for', async () => {
  const child = sleeper();
  const { session, notes } = sessionOf(child.pid);
  let back = false;
  const done = shutdown(session, { timeout: '60' }).then(() => (back = true));
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  expect([back, notes]).toEqual([false, [`berth: waiting for berthd (pid ${child.pid}) to end its calls (1 s)`]]);
  child.kill('SIGKILL');
  await done;
});

test('its patience has an end, which names the process', async () => {
  const child = sleeper();
  await expect(shutdown(sessionOf(child.pid).session, { timeout: '1' })).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
    message: expect.stringContaining(`berthd (pid ${child.pid}) has not ended in 1 s`),
  });
  child.kill('SIGKILL');
});

test('a berthd that has gone already, and one that does not say who it is, are not waited for', async () => {
  const child = sleeper();
  child.kill('SIGKILL');
  await once(child, 'exit');
  const gone = sessionOf(child.pid);
  await shutdown(gone.session, { timeout: '60' });
  expect(gone.printed).toEqual([`berthd (pid ${child.pid}) has ended; pods go on`]);
  const nameless = sessionOf(undefined);
  await shutdown(nameless.session, { timeout: '60', removeAll: true });
  expect(nameless.printed).toEqual(['berthd ends; every pod, its network and its control groups were removed']);
});

test('a process is told from a later one of its number by its start', () => {
  expect(startOf(process.pid)).toMatch(/^\d+$/);
  expect(startOf(0x3f_ffff + 1)).toBeUndefined();
});

test.each(['', '-1', '1.5', '1e3', ' 1', '99999999999999999999', 'x'.repeat(500)])('"%.20s" is no number', (text) => {
  expect(() => wholeNumber('--timeout', text, 'seconds')).toThrow(/^--timeout .{0,120}: expected seconds/);
});

test('to wait no time at all is refused before anything is asked', async () => {
  const { session } = sessionOf(process.pid);
  const asked = { ...session, admin: undefined } as unknown as Session;
  await expect(shutdown(asked, { timeout: '0' })).rejects.toThrow(
    '--timeout 0: expected seconds, a whole number from 1',
  );
});

test('what the system refused is a sentence, and what somebody typed is cut', () => {
  const error = Object.assign(new Error(`ENAMETOOLONG: name too long, mkdir '${'x'.repeat(5_000)}'`), {
    code: 'ENAMETOOLONG',
  });
  const { text, exitCode } = explain(error, '/s');
  expect(exitCode).toBe(125);
  expect(text).toMatch(/^berth: ENAMETOOLONG: name too long, mkdir .{80,120}\(\d+ characters\)$/);
});
