import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { LinkInfo, VethOptions } from '#linux/addon';
import type { NetworkAddon } from './bridge-host.ts';

const conf4 = '/proc/sys/net/ipv4/conf';
const conf6 = '/proc/sys/net/ipv6/conf';
const bridge = { name: 'nacbr0', addresses: ['10.97.0.1/16', 'fd97::1/64'], mac: '0a:58:0a:61:00:01' };
const failed = (code: string): unknown => expect.objectContaining({ code });

/** What the built-in network relies on of the addon: links, namespaces, settings below /proc. */
export function networkAddonContract(name: string, open: () => Promise<NetworkAddon>): void {
  describe(`${name}: the contract of NetworkAddon`, () => {
    let addon: NetworkAddon;
    const namespaces = new Set<number>();
    beforeAll(async () => {
      addon = await open();
    });
    afterEach(async () => {
      for (const netns of namespaces) addon.close(netns);
      namespaces.clear();
      for (const { name: link, kind } of await addon.listLinks()) if (kind !== '') await addon.deleteLink(link);
    });
    afterAll(async () => {
      expect((await addon.listLinks()).filter(({ kind }) => kind !== '')).toEqual([]);
    });

    const netns = async (): Promise<number> => {
      const fd = await addon.createNetns();
      namespaces.add(fd);
      return fd;
    };
    const veth = async (changes: Partial<VethOptions> = {}): Promise<VethOptions> => ({
      ...{ hostName: 'nacv1', containerName: 'eth0', bridge: bridge.name, mac: '0a:58:0a:61:00:02' },
      ...{ addresses: ['10.97.0.2/16', 'fd97::2/64'], gateways: ['10.97.0.1', 'fd97::1'] },
      netnsFd: changes.netnsFd ?? (await netns()),
      ...changes,
    });
    const find = async (link: string): Promise<LinkInfo | undefined> =>
      (await addon.listLinks()).find((one) => one.name === link);
    const until = async (test: () => Promise<boolean>): Promise<void> => {
      for (let tries = 0; !(await test()); tries++) {
        if (tries > 400) throw new Error('it never came true');
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const read = async (path: string): Promise<string | undefined> =>
      (await addon.batch([{ op: 'read', path, limit: 4096, optional: true }]))[0]?.data?.trim();

    describe('namespaces', () => {
      test('are another each time, and are closed once', async () => {
        const [one, other] = [await netns(), await netns()];
        expect(one).not.toBe(other);
        addon.close(one);
        namespaces.delete(one);
        expect(() => addon.close(one)).toThrow();
      });
    });

    describe('links', () => {
      test('are listed with the loopback, which is of no kind and has no master', async () => {
        expect(await find('lo')).toMatchObject({ index: 1, kind: '', master: 0 });
      });

      test('a bridge is made, and the second time is the same', async () => {
        await addon.ensureBridge(bridge);
        const made = await find(bridge.name);
        expect(made).toMatchObject({ kind: 'bridge', master: 0, mac: bridge.mac, up: true });
        await addon.ensureBridge(bridge);
        expect(await find(bridge.name)).toEqual(made);
      });

      test('a bridge brings its settings with it, and takes them along', async () => {
        expect(await read(`${conf4}/${bridge.name}/route_localnet`)).toBeUndefined();
        await addon.ensureBridge({ ...bridge, addresses: [] });
        expect(await read(`${conf4}/${bridge.name}/route_localnet`)).toBe('0');
        for (const setting of ['disable_ipv6', 'accept_ra', 'accept_dad']) {
          expect(await read(`${conf6}/${bridge.name}/${setting}`)).toMatch(/^\d$/);
        }
        await addon.deleteLink(bridge.name);
        expect(await read(`${conf4}/${bridge.name}/route_localnet`)).toBeUndefined();
        expect(await read(`${conf6}/${bridge.name}/accept_ra`)).toBeUndefined();
      });

      test('what is no bridge is not taken for one', async () => {
        await addon.ensureBridge(bridge);
        await addon.attachVeth(await veth());
        const before = await find('nacv1');
        await expect(addon.ensureBridge({ name: 'nacv1', addresses: [] })).rejects.toMatchObject({
          code: expect.stringMatching(/^(EEXIST|EOPNOTSUPP)$/),
        });
        expect(await find('nacv1')).toMatchObject({ kind: 'veth', index: before?.index });
      });

      test('a pair has one end on the bridge, up, and its numbers are told', async () => {
        await addon.ensureBridge(bridge);
        const options = await veth();
        const { hostIndex, mac } = await addon.attachVeth(options);
        expect(mac).toBe(options.mac);
        const host = await find('nacv1');
        const master = (await find(bridge.name))?.index;
        expect(host).toMatchObject({ kind: 'veth', index: hostIndex, master, up: true });
        expect(host?.mac).toMatch(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
        // The other end is elsewhere.
        expect(await find('eth0')).toBeUndefined();
      });

      test('a pair without a bridge', async () => {
        await expect(addon.attachVeth(await veth())).rejects.toEqual(failed('ENODEV'));
        expect(await find('nacv1')).toBeUndefined();
      });

      test('a second pair of a name is refused, on either end, and the first is as it was', async () => {
        await addon.ensureBridge(bridge);
        const options = await veth();
        const { hostIndex } = await addon.attachVeth(options);
        await expect(addon.attachVeth(await veth())).rejects.toEqual(failed('EEXIST'));
        const inside = await veth({ netnsFd: options.netnsFd, hostName: 'nacv2' });
        await expect(addon.attachVeth(inside)).rejects.toEqual(failed('EEXIST'));
        expect((await find('nacv1'))?.index).toBe(hostIndex);
        expect(await find('nacv2')).toBeUndefined();
      });

      test('nothing is left of a pair that cannot be set up inside', async () => {
        await addon.ensureBridge(bridge);
        const astray = await veth({ gateways: ['192.0.2.1'] });
        await expect(addon.attachVeth(astray)).rejects.toEqual(failed('ENETUNREACH'));
        expect(await find('nacv1')).toBeUndefined();
      });

      test('a namespace that was closed is refused at once', async () => {
        await addon.ensureBridge(bridge);
        const options = await veth();
        namespaces.delete(options.netnsFd);
        addon.close(options.netnsFd);
        const attach = async (): Promise<unknown> => addon.attachVeth(options);
        await expect(attach()).rejects.toEqual(failed('EBADF'));
        expect(await find('nacv1')).toBeUndefined();
      });

      test('a pair goes with the last of its namespace', async () => {
        await addon.ensureBridge(bridge);
        const options = await veth();
        await addon.attachVeth(options);
        namespaces.delete(options.netnsFd);
        addon.close(options.netnsFd);
        await until(async () => (await find('nacv1')) === undefined);
      });

      test('are deleted, which can come twice; ends outlive their bridge without a master', async () => {
        await addon.ensureBridge(bridge);
        await addon.attachVeth(await veth());
        await addon.deleteLink(bridge.name);
        expect(await find(bridge.name)).toBeUndefined();
        expect(await find('nacv1')).toMatchObject({ master: 0 });
        for (let times = 0; times < 2; times++) await addon.deleteLink('nacv1');
        expect(await find('nacv1')).toBeUndefined();
      });

      test('have names that a kernel takes', async () => {
        const long = 'n'.repeat(16);
        const said = async (call: () => Promise<unknown>): Promise<unknown> =>
          call().catch((error: unknown) => (error as Error).name);
        expect(await said(async () => addon.ensureBridge({ name: long, addresses: [] }))).toBe('TypeError');
        expect(await said(async () => addon.deleteLink(long))).toBe('TypeError');
        const options = await veth({ hostName: long });
        expect(await said(async () => addon.attachVeth(options))).toBe('TypeError');
      });
    });

    describe('files', () => {
      test('are written and read; a value that is read ends its line', async () => {
        const path = '/proc/sys/net/ipv4/ip_forward';
        for (const data of ['1', '0']) {
          expect(await addon.batch([{ op: 'write', path, data }])).toEqual([{}]);
          expect(await addon.batch([{ op: 'read', path, limit: 100 }])).toEqual([{ data: `${data}\n` }]);
        }
      });

      test('that are not there: an error that stops the rest, unless it may be', async () => {
        const read = { op: 'read', path: '/proc/sys/net/ipv4/ip_forward', limit: 100 } as const;
        const missing = { op: 'read', path: `${conf4}/nobody/forwarding`, limit: 100 } as const;
        const optional = { ...missing, optional: true };
        const data = expect.stringMatching(/^[01]\n$/);
        expect(await addon.batch([read, optional, read])).toEqual([{ data }, { error: 'ENOENT' }, { data }]);
        expect(await addon.batch([read, missing, read])).toEqual([
          ...[{ data }, { error: 'ENOENT' }, { error: 'ECANCELED' }],
        ]);
        const writing = { op: 'write', path: missing.path, data: '1' } as const;
        expect(await addon.batch([writing])).toEqual([{ error: 'ENOENT' }]);
      });

      test('are listed by their directories, those of links among them', async () => {
        await addon.ensureBridge(bridge);
        const [list] = await addon.batch([{ op: 'list', path: conf6, limit: 1 << 20 }]);
        expect(list?.data?.split('\n')).toEqual(expect.arrayContaining(['all', 'default', 'lo', bridge.name]));
        const nowhere = await addon.batch([{ op: 'list', path: `${conf6}/nobody`, limit: 1 << 20 }]);
        expect(nowhere).toEqual([{ error: 'ENOENT' }]);
      });
    });

    test('flows to ports are forgotten, of which there are none', async () => {
      expect(await addon.forgetUdpFlows([5300, 1, 65_535])).toBe(0);
      expect(await addon.forgetUdpFlows([])).toBe(0);
    });
  });
}
