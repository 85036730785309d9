import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { loadAddon } from '#linux/load';
import { runProcess } from '#linux/run-process';

const marker = 'BERTH_TEST_IN_NETNS';

/**
 * Tests on the real kernel. The file runs itself again inside network and mount namespaces of its own, so that the
 * machine's links, settings, rules and mounts are never touched; that inner run is the one that tests.
 *
 * @param url the test file's import.meta.url
 * @param lack what the machine lacks besides root; undefined: nothing
 */
export function inOwnNetns(url: string, lack: string | undefined, realTests: () => void): void {
  const file = fileURLToPath(url);
  if (process.env[marker] === file) {
    const others = readFileSync('/proc/net/dev', 'utf8').match(/^ *(?!lo:)[^ |]+:/gm);
    if (others !== null) throw new Error(`this is no namespace of its own: it has ${others.join(' ')}`);
    realTests();
    return;
  }
  const missing = process.getuid?.() === 0 ? lack : 'root';
  if (missing !== undefined) {
    process.emitWarning(`skipped: ${file} needs ${missing}`);
    test.skip(`needs ${missing}`, () => undefined);
    return;
  }
  test('passes in namespaces of its own', async () => {
    const top = fileURLToPath(new URL('../../', import.meta.url));
    const jest = `${top}node_modules/jest/bin/jest.js`;
    const result = await runProcess(createCtx(), loadAddon(), {
      path: '/usr/bin/unshare',
      argv: [
        ...['unshare', '--net', '--mount', process.execPath, '--experimental-vm-modules', jest, '--rootDir', top, '-i'],
        ...['--config', `${top}jest.config.js`, '--selectProjects=unit', '--runTestsByPath', file],
      ],
      env: [
        ...[`${marker}=${file}`, `PATH=${process.env['PATH'] ?? ''}`, `HOME=${process.env['HOME'] ?? '/'}`],
        ...Object.entries(process.env).flatMap(([name, value]) =>
          name.startsWith('BERTH_') && name !== marker ? [`${name}=${value ?? ''}`] : [],
        ),
      ],
      limit: 1024 * 1024,
    });
    if (result.code !== 0) throw new Error(`the inner run failed:\n${result.stderr}${result.stdout}`);
    // Silence would be a run that tested nothing.
    expect(result.stderr).toMatch(/Tests: +[1-9][0-9]* passed/);
  }, 120_000);
}
