import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { randomIds, shortId } from '#base/ids';
import { podNetworkContract } from '../pod-network.contract.ts';
import { Bench } from './builtin-network.fixture.ts';

const ctx = createCtx();

podNetworkContract('BuiltinNetwork on a fake kernel', async () => {
  const bench = new Bench();
  await bench.network.prepare(ctx);
  return { network: bench.network, cleanUp: () => bench[Symbol.asyncDispose]() };
});

describe('preparation', () => {
  test('settings of the bridge come before its addresses, forwarding keeps the machine’s own route', async () => {
    await using bench = new Bench();
    bench.network.start();
    expect(bench.network.status()).toMatchObject({ ready: false, reason: 'NetworkNotPrepared' });
    await bench.network.prepare(ctx);
    expect(bench.network.status()).toEqual({ ready: true, reason: '', message: '' });
    expect(bench.addon.calls.slice(0, 8)).toEqual([
      'ensureBridge',
      'write ipv6/conf/berth0/disable_ipv6 0',
      'write ipv6/conf/berth0/accept_ra 0',
      'write ipv6/conf/berth0/accept_dad 0',
      'ensureBridge',
      'write ipv4/ip_forward 1',
      'write ipv6/conf/eth0/accept_ra 2',
      'write ipv6/conf/all/forwarding 1',
    ]);
    expect([...bench.addon.bridgeAddresses]).toEqual(['10.89.0.1/16', 'fd89::1/64']);
    expect(bench.tools.tables).toHaveLength(1);
    expect(bench.tools.tables[0]).toContain('ip6 saddr { fd89::/64 } oifname != "berth0"');
  });

  test('forwarding that is on is not written again', async () => {
    await using bench = new Bench();
    bench.addon.files.set('/proc/sys/net/ipv4/ip_forward', '1');
    bench.addon.files.set('/proc/sys/net/ipv6/conf/all/forwarding', '1');
    await bench.network.prepare(ctx);
    expect(bench.addon.calls.filter((call) => /forward|eth/.test(call))).toEqual([]);
  });

  test('takes the MTU of the default route with the lowest metric', async () => {
    await using bench = new Bench();
    const row = (name: string, metric: number, to = '00000000'): string =>
      `${name}\t${to}\t0100000A\t0003\t0\t0\t${metric}\t00000000\t0\t0\t0`;
    bench.addon.files.set(
      '/proc/net/route',
      ['Iface\tDestination', row('eth0', 200), row('eth1', 100), row('eth2', 1, '0000000A')].join('\n'),
    );
    const { record } = await bench.connect();
    expect(bench.addon.bridgeMtu).toBe(9000);
    expect(bench.addon.links.get(record.hostInterface)?.veth?.mtu).toBe(9000);
  });

  test('is done once for all who wait; a failure is shown and tried again', async () => {
    await using bench = new Bench();
    bench.tools.failure = Object.assign(new Error('spawn'), { code: 'ENOENT' });
    const tries = [bench.connect(), bench.connect()];
    for (const attempt of tries) {
      await expect(attempt).rejects.toMatchObject({ code: 'UNAVAILABLE', message: /^nft is not installed/ });
    }
    expect(bench.network.status()).toMatchObject({ ready: false, reason: 'NetworkPreparationFailed' });
    expect(bench.network.status().message).toContain('nft is not installed');
    bench.tools.failure = undefined;
    bench.nowMs += 5001;
    bench.network.status();
    await turn();
    expect(bench.network.status().ready).toBe(true);
    await bench.connect();
    expect(bench.tools.tables).toHaveLength(1);
  });

  test('without IPv6 in the kernel pods get IPv4, and the status says so', async () => {
    await using bench = new Bench();
    for (const path of bench.addon.files.keys()) if (path.includes('ipv6')) bench.addon.files.delete(path);
    expect((await bench.connect()).record.addresses).toEqual(['10.89.0.2']);
    expect(bench.network.status()).toMatchObject({ ready: true, message: /no IPv6/ });
    await using only6 = new Bench({ ipv4Subnet: '' });
    only6.addon.files.clear();
    await expect(only6.network.prepare(ctx)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('without masquerade the table has host ports only, and nft may be missing', async () => {
    await using bench = new Bench({ masquerade: false });
    await bench.network.prepare(ctx);
    expect(bench.tools.tables.join()).not.toContain('fully-random');
    bench.tools.failure = Object.assign(new Error('spawn'), { code: 'ENOENT' });
    await using again = bench.open({ masquerade: false });
    await again.prepare(ctx);
  });

  test('a firewall of another program that drops is shown, and looked for again after minutes', async () => {
    await using bench = new Bench();
    await bench.network.prepare(ctx);
    await turn();
    expect(bench.network.status().message).toBe('');
    const chain = { family: 'ip', table: 'filter', name: 'FORWARD', hook: 'forward', policy: 'drop' };
    bench.tools.chains = JSON.stringify({ nftables: [{ chain }] });
    bench.nowMs += 5 * 60_000 + 1;
    bench.network.status();
    await turn();
    expect(bench.network.status()).toMatchObject({ ready: true, message: /ip filter FORWARD.*berth0/ });
  });
});

describe('setUp', () => {
  test('gives the addon everything in one call, beside the write of the lease', async () => {
    await using bench = new Bench();
    await bench.network.prepare(ctx);
    const { podId, record } = await bench.connect();
    expect(record).toEqual({
      mode: 'builtin',
      addresses: ['10.89.0.2', 'fd89::2'],
      hostInterface: `bv${shortId(podId)}`,
    });
    expect(bench.addon.links.get(record.hostInterface)?.veth).toMatchObject({
      containerName: 'eth0',
      bridge: 'berth0',
      mac: 'be:27:0a:59:00:02',
      addresses: ['10.89.0.2/16', 'fd89::2/64'],
      gateways: ['10.89.0.1', 'fd89::1'],
    });
    expect(bench.leases.values()).toEqual([{ podId, addresses: ['10.89.0.2', 'fd89::2'] }]);
  });

  test('a lease that cannot be written takes the link away again', async () => {
    await using bench = new Bench({ ipv4Subnet: '10.1.1.0/30', ipv6Subnet: '' });
    await bench.network.prepare(ctx);
    bench.leases.failNextPut = Object.assign(new Error('disk full'), { code: 'ENOSPC' });
    await expect(bench.connect()).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED', message: /disk full/ });
    expect([...bench.addon.links.keys()]).toEqual(['berth0']);
    expect((await bench.connect()).record.addresses).toEqual(['10.1.1.2']);
  });

  test('a link that cannot be made frees the address and touches no link', async () => {
    await using bench = new Bench();
    await bench.network.prepare(ctx);
    bench.addon.before.set('attachVeth', async () =>
      Promise.reject(Object.assign(new Error('no memory'), { code: 'ENOMEM' })),
    );
    const podId = randomIds.next();
    await expect(bench.connect(podId)).rejects.toMatchObject({
      code: 'KERNEL',
      message: `connect pod ${podId} to bridge berth0: no memory`,
      details: { errno: 'ENOMEM' },
    });
    expect(bench.leases.size).toBe(0);
    expect(bench.addon.calls).not.toContain('deleteLink');
  });

  test('when the caller goes away while the link is made, it is taken away when it comes', async () => {
    await using bench = new Bench();
    await bench.network.prepare(ctx);
    const caller = new AbortController();
    let come: () => void = () => undefined;
    bench.addon.before.set('attachVeth', () => new Promise((resolve) => (come = resolve)));
    const connecting = bench.connect(undefined, createCtx({ signal: caller.signal }));
    await turn();
    caller.abort(new Error('gone'));
    await turn();
    come();
    await expect(connecting).rejects.toThrow('gone');
    expect([...bench.addon.links.keys()]).toEqual(['berth0']);
    expect(bench.leases.size).toBe(0);
  });

  test('a full subnet is named', async () => {
    await using bench = new Bench({ ipv4Subnet: '10.1.1.0/30', ipv6Subnet: '' });
    await bench.connect();
    await expect(bench.connect()).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED', message: /10\.1\.1\.0\/30/ });
  });

  test('goes on with the leases of an earlier daemon', async () => {
    await using bench = new Bench();
    const { podId } = await bench.connect();
    await bench.network[Symbol.asyncDispose]();
    bench.network = bench.open();
    expect((await bench.connect()).record.addresses).toEqual(['10.89.0.3', 'fd89::3']);
    await expect(bench.connect(podId)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  });
});

describe('clean-up', () => {
  test('a link that outlives its pod is deleted in the background, the kernel’s own work is left to it', async () => {
    await using bench = new Bench();
    const pods = [await bench.connect(), await bench.connect()];
    for (const { podId, record } of pods) await bench.network.tearDown(ctx, podId, record);
    bench.addon.links.delete(pods[0]!.record.hostInterface);
    expect(await bench.network.strays(ctx, new Set())).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([...bench.addon.links.keys()]).toEqual(['berth0']);
    expect(bench.addon.calls.filter((call) => call === 'deleteLink')).toHaveLength(1);
  });

  test('links of other bridges and of other programs are nobody’s strays', async () => {
    await using bench = new Bench();
    const { podId, record } = await bench.connect();
    await bench.addon.ensureBridge({ name: 'other', addresses: [] });
    const veth = bench.addon.links.get(record.hostInterface)!.veth!;
    const unknown = 'bv0123456789abc';
    for (const changes of [
      { hostName: 'bv123456789abcd', bridge: 'other' },
      { hostName: 'veth0' },
      { hostName: unknown },
    ]) {
      const netnsFd = await bench.addon.createNetns();
      await bench.addon.attachVeth({ ...veth, netnsFd, ...changes });
      bench.addon.close(netnsFd);
    }
    expect(await bench.network.strays(ctx, new Set([podId]))).toEqual([`link ${unknown}`]);
    expect(await bench.network.keepOnly(ctx, new Set([podId]))).toEqual([`link ${unknown}`]);
    expect(bench.addon.links.has('bv123456789abcd')).toBe(true);
  });

  test('one link that cannot be deleted does not keep the others', async () => {
    await using bench = new Bench();
    const pods = [await bench.connect(), await bench.connect()];
    let failed = false;
    bench.addon.before.set('deleteLink', async () => {
      if (failed) return;
      failed = true;
      throw new Error('busy');
    });
    expect(await bench.network.keepOnly(ctx, new Set())).toHaveLength(3);
    expect(bench.addon.links.has(pods[0]!.record.hostInterface)).toBe(true);
    expect(bench.addon.links.has(pods[1]!.record.hostInterface)).toBe(false);
    expect(bench.leases.size).toBe(0);
  });

  test('a pod that comes while strays are looked for is none', async () => {
    await using bench = new Bench();
    await bench.network.prepare(ctx);
    bench.addon.before.set('listLinks', async () => {
      bench.addon.before.clear();
      await bench.connect();
    });
    expect(await bench.network.strays(ctx, new Set())).toEqual([]);
  });

  test('removeAll takes links, bridge and table away; nothing comes back', async () => {
    const bench = new Bench();
    await bench.connect();
    await bench.network.removeAll(ctx);
    expect(bench.addon.links.size).toBe(0);
    expect(bench.tools.tables.at(-1)).toBe('table inet berth\ndelete table inet berth\n');
    expect(bench.network.status()).toMatchObject({ ready: false, reason: 'NetworkRemoved' });
    await expect(bench.connect()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(bench.addon.openNamespaces.size).toBe(0);
  });
});

describe('useSubnets', () => {
  test('new pods get addresses there, old ones keep theirs; masquerade knows both', async () => {
    await using bench = new Bench();
    await bench.connect();
    await bench.network.useSubnets(ctx, ['10.50.7.0/24']);
    expect((await bench.connect()).record.addresses).toEqual(['10.50.7.2', 'fd89::3']);
    expect([...bench.addon.bridgeAddresses]).toEqual(['10.89.0.1/16', 'fd89::1/64', '10.50.7.1/24']);
    expect(bench.tools.tables.at(-1)).toContain('ip saddr { 10.89.0.0/16, 10.50.7.0/24 }');
    const count = bench.tools.tables.length;
    await bench.network.useSubnets(ctx, ['10.50.7.0/24', 'fd89::/64']);
    await bench.network.useSubnets(ctx, []);
    expect(bench.tools.tables).toHaveLength(count);
  });

  test.each([[['10.1.0.0/16', '10.2.0.0/16']], [['10.1.0.0/33']], [['nonsense']]])('refuses %j', async (cidrs) => {
    await using bench = new Bench();
    await expect(bench.network.useSubnets(ctx, cidrs)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect((await bench.connect()).record.addresses[0]).toBe('10.89.0.2');
  });

  test('refuses a range whose first address a pod has', async () => {
    await using bench = new Bench({ ipv4Subnet: '10.89.0.0/16' });
    await bench.leases.put(ctx, 'a', { podId: 'a', addresses: ['10.89.3.1'] });
    bench.network = bench.open();
    await expect(bench.network.useSubnets(ctx, ['10.89.3.0/24'])).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
    });
  });

  test('an address that is being given meanwhile is not given twice', async () => {
    await using bench = new Bench();
    await bench.network.prepare(ctx);
    let come: () => void = () => undefined;
    bench.addon.before.set('attachVeth', () => new Promise((resolve) => (come = resolve)));
    const first = bench.connect();
    await turn();
    bench.addon.before.clear();
    await bench.network.useSubnets(ctx, ['10.89.0.0/24']);
    const second = await bench.connect();
    come();
    expect((await first).record.addresses).toEqual(['10.89.0.2', 'fd89::2']);
    expect(second.record.addresses).toEqual(['10.89.0.3', 'fd89::3']);
  });
});
