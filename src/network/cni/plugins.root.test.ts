import { existsSync, mkdtempSync, readdirSync, rmSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import { loadAddon } from '#linux/load';
import { runProcess } from '#linux/run-process';
import { expect } from '@jest/globals';
import { inOwnNetns } from '../own-netns.fixture.ts';
import { pluginsContract } from './plugins.contract.ts';
import { Plugins } from './plugins.ts';

// Debian's plugins, in namespaces of their own.
const binDir = '/usr/lib/cni';
const missing = ['bridge', 'host-local', 'portmap'].find((type) => !existsSync(path.join(binDir, type)));
const lack = missing && `${binDir}/${missing} (package containernetworking-plugins)`;

inOwnNetns(import.meta.url, lack, () => {
  pluginsContract('plugins of Debian', async () => {
    const addon = loadAddon();
    const directory = mkdtempSync('/tmp/berth-plugins-');
    const leases = path.join(directory, 'leases');
    const subnets = ['10.96.0.0/24', 'fd96::/64'];
    let count = 0;
    return {
      plugins: new Plugins({
        run: (ctx, command) => runProcess(ctx, addon, command),
        binDirs: [binDir],
        timeoutMs: 20_000,
      }),
      newest: '1.0.0',
      bridge: {
        bridge: 'ncibr0',
        isGateway: true,
        ipam: { type: 'host-local', dataDir: leases, ranges: subnets.map((subnet) => [{ subnet }]) },
      },
      netns: async () => {
        const file = path.join(directory, `netns-${(count += 1)}`);
        const fd = await addon.createNetns();
        await addon.bindNetns(fd, file);
        addon.close(fd);
        return {
          path: file,
          close: async () => {
            if (!existsSync(file)) return;
            await addon.detachMount(file);
            unlinkSync(file);
          },
        };
      },
      cleanUp: async () => {
        const left = readdirSync(path.join(leases, 'contract')).filter((name) => /^[0-9a-f.:]+$/.test(name));
        expect(left).toEqual([]);
        expect((await addon.listLinks()).map(({ name }) => name)).toEqual(['lo', 'ncibr0']);
        rmSync(directory, { recursive: true });
      },
    };
  });
});
