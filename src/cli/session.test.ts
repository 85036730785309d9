import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openSession, type GlobalOptions } from './session.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'berth-session-'));
  file = path.join(directory, 'config.toml');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** The socket that a command would use, and what it says beside its output. */
function opened(options: GlobalOptions, text: string): { socket: string; notes: string } {
  writeFileSync(file, text);
  let notes = '';
  const streams = { stdout: { write: () => true }, stderr: { write: (more: string) => (notes += more) } };
  const session = openSession({ config: file, ...options }, {}, streams);
  session.cri.close();
  return { socket: session.socket, notes };
}

test.each([
  ['an unknown key', 'bogus = 1\n', 'unknown key bogus\n'],
  ['a wrong value of another key', '[log]\nlevel = "loud"\n', 'log.level: expected one of'],
  ['keys that do not go together', '[network]\nipv4_subnet = ""\nipv6_subnet = ""\n', 'are both empty'],
])('%s does not lock anybody out: it is a warning', (_name, mistake, told) => {
  const { socket, notes } = opened({}, `run = "/run/here"\n${mistake}`);
  expect(socket).toBe('/run/here/berth.sock');
  expect(notes).toContain('berth: warning: berthd would not start with this configuration: ');
  expect(notes).toContain(told);
  expect(notes.split('\n')).toHaveLength(2);
});

test('right files are no word worth', () => {
  expect(opened({}, 'socket = "/run/x.sock"\n')).toEqual({ socket: '/run/x.sock', notes: '' });
});

test.each([
  ['no TOML', 'run = \n'],
  ['a wrong socket', 'socket = "x.sock"\n'],
  ['a wrong place', 'run = "relative"\n'],
])('with %s the options that help are named', (_name, text) => {
  expect(() => opened({}, text)).toThrow(
    /config\.toml.*: mend it, or name the sockets .* --socket and --admin-socket$/,
  );
});
