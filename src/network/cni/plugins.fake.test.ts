import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { CniVersion } from './conf-list.ts';
import { pluginsContract } from './plugins.contract.ts';
import { FakePlugins } from './plugins.fake.ts';
import { Plugins } from './plugins.ts';

describe.each<CniVersion>(['1.0.0', '1.1.0'])('plugins that end at CNI %s', (newest) => {
  pluginsContract('FakePlugins', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'berth-plugins-'));
    const fakes = new FakePlugins({ newest });
    mkdirSync(path.join(directory, 'bin'));
    for (const type of ['bridge', 'portmap']) {
      const file = path.join(directory, 'bin', type);
      writeFileSync(file, '');
      chmodSync(file, 0o755);
    }
    let count = 0;
    return {
      plugins: new Plugins({ run: fakes.run, binDirs: [path.join(directory, 'bin')], timeoutMs: 10_000 }),
      newest,
      bridge: {},
      netns: async () => {
        const file = path.join(directory, `netns-${(count += 1)}`);
        writeFileSync(file, '');
        return { path: file, close: async () => rmSync(file, { force: true }) };
      },
      cleanUp: async () => {
        expect(fakes.leases.size).toBe(0);
        rmSync(directory, { recursive: true });
      },
    };
  });
});

test('what a test orders comes instead of what a plugin does', async () => {
  const fakes = new FakePlugins();
  fakes.instead.set('bridge STATUS', () => ({ code: 1, stdout: '{"code": 50, "msg": "no"}' }));
  const env = ['CNI_COMMAND=STATUS'];
  const { signal } = new AbortController();
  const output = await fakes.run({ signal } as never, { path: '/bridge', argv: [], env, stdin: '{}', limit: 1 });
  expect(output).toMatchObject({ code: 1, stdout: '{"code": 50, "msg": "no"}' });
});
