import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { loadAddon } from '#linux/load';
import { runProcess } from '#linux/run-process';
import { Plugins } from './plugins.ts';
import { checkResult } from './result.ts';

// Real programs: what a plugin can do wrong as a process.

const ctx = createCtx();
const addon = loadAddon();
const good = { cniVersion: '1.0.0', ips: [{ address: '10.1.0.2/16' }] };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'berth-plugins-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function plugin(script: string): string {
  const file = path.join(directory, 'made');
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

const plugins = (timeoutMs = 10_000): Plugins =>
  new Plugins({ run: (own, command) => runProcess(own, addon, command), binDirs: [directory], timeoutMs });

const add = (timeoutMs?: number): Promise<unknown> =>
  plugins(timeoutMs).call(
    ctx,
    {
      ...{ type: 'made', verb: 'ADD', conf: { name: 'n', text: 'ä'.repeat(300_000) } },
      target: { containerId: 'c', netns: '/n', args: 'A=1' },
    },
    (printed) => checkResult(printed, '1.0.0').value,
  );

test('a plugin reads its configuration, knows what the specification lets it know, and no more', async () => {
  plugin(
    `input=$(wc -c); env | sort >${directory}/env; echo '${JSON.stringify({ ...good, input: 0 })}' | sed "s/0}/$input}/"`,
  );
  expect(await add()).toEqual({ ...good, input: 600_022 });
  const env = await runProcess(ctx, addon, {
    path: '/bin/cat',
    argv: ['cat', `${directory}/env`],
    env: [],
    limit: 4096,
  });
  const names = env.stdout.trim().split('\n').map((line) => line.split('=')[0]); // prettier-ignore
  const known = ['CNI_ARGS', 'CNI_COMMAND', 'CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_PATH', 'PATH', 'PWD'];
  expect(names.filter((name) => name !== '_' && name !== 'OLDPWD' && name !== 'SHLVL')).toEqual(known);
});

test('a plugin that names no version has that of what it was given', async () => {
  plugin(json({ ips: good.ips }));
  expect(await add()).toEqual(good);
});

const json = (value: object): string => `printf %s '${JSON.stringify(value)}'`;

describe('a plugin that', () => {
  test.each([
    ['prints nothing', ':', 'printed no result'],
    ['prints no JSON', 'echo hello', 'printed no JSON .*: hello'],
    ['prints half of it', `echo '{"cniVersion": "1.0.0", "ips": ['`, 'printed no JSON'],
    ['prints a list', "echo '[]'", 'printed no JSON object'],
    ['prints another version', json({ ...good, cniVersion: '9.9.9' }), 'printed a result of version "9.9.9"'],
    ['prints a version that is none', json({ ...good, cniVersion: 1 }), 'printed a result of version 1'],
    ['says more before its result', `echo starting; ${json(good)}`, 'printed no JSON'],
    ['gives what is no address', json({ ...good, ips: [{ address: 'ten.1.2.3/8' }] }), 'printed address "ten.1.2.3/8"'],
    ['gives no prefix length', json({ ...good, ips: [{ address: '10.1.2.3' }] }), 'printed address "10.1.2.3"'],
    ['gives too long a prefix', json({ ...good, ips: [{ address: '10.1.2.3/64' }] }), 'printed address "10.1.2.3/64"'],
    ['gives addresses that are none', json({ ...good, ips: 'all' }), 'printed ips that are not a list'],
    ['says an error and success', json({ code: 7, msg: 'bad' }), 'ended with 0 but printed an error: bad \\(code 7\\)'],
    ['fails with words', `${json({ code: 100, msg: 'a\n b', details: 'c' })}; exit 1`, 'a b; c \\(code 100\\)'],
    ['fails with no JSON', 'echo why >&2; exit 3', 'failed with exit code 3: why'],
    ['fails with no words', 'exit 1', 'failed with exit code 1: it said nothing'],
    ['dies', 'kill -SEGV $$', 'failed with signal 11'],
    ['prints ten megabytes', 'head -c 10000000 /dev/zero', 'wrote more than 1048576 bytes'],
    [
      'complains for ten megabytes',
      'head -c 10000000 /dev/zero | tr "\\0" x >&2; exit 1',
      'failed with exit code 1: x+$',
    ],
  ])('%s is an error with its name and path', async (_what, script, why) => {
    const file = plugin(script);
    const message = new RegExp(`^network plugin made \\(${file}\\) ADD:? .*${why}`);
    await expect(add()).rejects.toMatchObject({ code: 'NETWORK_FAILED', message: expect.stringMatching(message) });
  });

  test('hangs is ended, with what it started', async () => {
    plugin('sleep 1000 & wait');
    const message = expect.stringMatching(/^network plugin made .* ADD did not finish in 100 ms$/);
    await expect(add(100)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', message });
  });

  test('leaves a process with its output behind is not waited for longer', async () => {
    plugin(`sleep 2 & ${json(good)}`);
    await expect(add(100)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  test('is no program at all is the machine’s fault', async () => {
    writeFileSync(plugin(''), 'no program');
    await expect(add()).rejects.toMatchObject({
      code: 'KERNEL',
      message: expect.stringMatching(/^network plugin made /),
    });
  });
});

describe('find', () => {
  test('takes the first program of that name, and no directory or plain file', async () => {
    const other = path.join(directory, 'other');
    mkdirSync(path.join(directory, 'first/made'), { recursive: true });
    mkdirSync(other);
    writeFileSync(path.join(other, 'made'), '');
    const file = plugin('');
    const run = (): never => {
      throw new Error('not run');
    };
    const found = new Plugins({ run, binDirs: [path.join(directory, 'first'), other, directory], timeoutMs: 1 });
    expect(await found.find('made')).toBe(file);
    await expect(found.find('none')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(other),
    });
    const unfit = new Plugins({ run, binDirs: [other, path.join(directory, 'first')], timeoutMs: 1 });
    await expect(unfit.find('made')).rejects.toThrow(
      `(${other}/made is not executable, ${directory}/first/made is no file): install it there`,
    );
  });
});
