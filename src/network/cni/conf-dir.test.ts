import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { readConfDir } from './conf-dir.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'berth-conf-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const conf = (name: string, more: object = {}): object => ({
  cniVersion: '1.0.0',
  name,
  plugins: [{ type: 'x' }],
  ...more,
});

function write(name: string, value: object | string): void {
  mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
  writeFileSync(path.join(directory, name), typeof value === 'string' ? value : JSON.stringify(value));
}

test('the first valid file in lexical order is chosen; what is skipped is said', async () => {
  write('05-broken.conf', '{}');
  write('10-b.json', conf('b'));
  write('20-a.conflist', conf('a'));
  for (const name of ['.09-hidden.conflist', '01-note.txt', '02-off.conflist.bak']) write(name, conf('no'));
  const { chosen, unused, problems } = await readConfDir(directory);
  expect(chosen).toMatchObject({ file: path.join(directory, '10-b.json'), list: { name: 'b' } });
  expect(unused).toEqual([path.join(directory, '20-a.conflist')]);
  expect(problems).toEqual([expect.stringMatching(/05-broken.conf: "name" has to be/)]);
});

test('links are followed, as in a mounted config map', async () => {
  write('..data/net', conf('linked'));
  symlinkSync('..data/net', path.join(directory, '10-net.conflist'));
  expect((await readConfDir(directory)).chosen?.list.name).toBe('linked');
});

test('what is no file, too large, or leads nowhere is a problem of its own', async () => {
  symlinkSync('/dev/zero', path.join(directory, '1.conflist'));
  symlinkSync('/nonexistent', path.join(directory, '2.conflist'));
  write('3.conflist', ' '.repeat(70_000));
  write('4.conflist', conf('last'));
  const { chosen, problems } = await readConfDir(directory);
  expect(chosen?.list.name).toBe('last');
  expect(problems).toEqual([
    `${directory}/1.conflist is not a regular file`,
    `${directory}/2.conflist does not exist`,
    `${directory}/3.conflist is larger than 65536 bytes`,
  ]);
});

test('a list gets the plugins of the directory of its name, unless it wants none', async () => {
  const base = { cniVersion: '1.1.0', name: 'n' };
  write('10.conflist', { ...base, plugins: [{ type: 'a' }] });
  write('n/20-c.conf', { type: 'c' });
  write('n/10-b.conf', { type: 'b' });
  const types = async () => (await readConfDir(directory)).chosen?.list.plugins.map(({ type }) => type);
  expect(await types()).toEqual(['a', 'b', 'c']);
  write('10.conflist', { ...base, loadOnlyInlinedPlugins: true, plugins: [{ type: 'a' }] });
  expect(await types()).toEqual(['a']);
});

test('a directory that is missing, empty or far too full is told', async () => {
  expect(await readConfDir('/nonexistent')).toEqual({ unused: [], problems: ['/nonexistent does not exist'] });
  expect(await readConfDir(directory)).toEqual({ unused: [], problems: [] });
  for (let at = 0; at < 129; at++) write(`${at}.conf`, '');
  expect((await readConfDir(directory)).problems).toEqual([
    expect.stringContaining('129 configurations, more than 128'),
  ]);
});
