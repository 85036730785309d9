import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { randomIds } from '#base/ids';
import { networkRequest } from '../network-request.fixture.ts';
import type { PortMapping } from '../pod-network.ts';
import { Bench } from './builtin-network.fixture.ts';

const ctx = createCtx();

describe('host ports', () => {
  const mapping = { protocol: 'udp', containerPort: 53, hostPort: 5300, hostIp: '' } as const;
  const connect = async (bench: Bench, portMappings: readonly PortMapping[] = [mapping], podId = randomIds.next()) => {
    using netns = await bench.network.takeNamespace(ctx);
    return { podId, record: await bench.network.setUp(ctx, networkRequest(podId, netns, { portMappings })) };
  };

  test('a pod without any costs no run of nft', async () => {
    await using bench = new Bench();
    await bench.network.prepare(ctx);
    const { podId, record } = await bench.connect();
    await bench.network.tearDown(ctx, podId, record);
    expect(bench.tools.tables).toHaveLength(1);
    expect(bench.addon.files.get('/proc/sys/net/ipv4/conf/berth0/route_localnet')).toBe('0');
  });

  test('lead to the pod while it lives; flows of datagrams are forgotten before and after', async () => {
    await using bench = new Bench();
    const { podId, record } = await connect(bench);
    expect(bench.tools.tables.at(-1)).toContain('ports6 { udp . 5300 : fd89::2 . 53 }');
    expect(bench.addon.files.get('/proc/sys/net/ipv4/conf/berth0/route_localnet')).toBe('1');
    await bench.network.tearDown(ctx, podId, record);
    await bench.network.tearDown(ctx, podId, record);
    expect(bench.tools.tables.at(-1)).toContain('delete element inet berth ports4 { udp . 5300 }');
    expect(bench.tools.tables).toHaveLength(3);
    expect(bench.addon.calls.filter((call) => call === 'forgetUdpFlows 5300')).toHaveLength(2);
  });

  test('of two pods that come at once one gets the port, and after it the other', async () => {
    await using bench = new Bench();
    const [one, other] = await Promise.allSettled([connect(bench), connect(bench)]);
    if (one.status !== 'fulfilled' || other.status !== 'rejected') throw new Error('not one of them');
    expect(other.reason).toMatchObject({ code: 'FAILED_PRECONDITION', details: { podId: one.value.podId } });
    await bench.network.tearDown(ctx, one.value.podId, one.value.record);
    await connect(bench);
  });

  test('are known to the next berthd: kept by their pods, freed with pods that are gone', async () => {
    await using bench = new Bench();
    const kept = await connect(bench);
    await connect(bench, [{ ...mapping, hostPort: 5301 }]);
    await bench.network[Symbol.asyncDispose]();
    bench.network = bench.open();
    await bench.network.prepare(ctx);
    expect(bench.tools.tables.at(-1)).toMatch(/delete table[\s\S]*ports4 \{ udp \. 5300 : .*, udp \. 5301 : /);
    await bench.network.keepOnly(ctx, new Set([kept.podId]));
    await expect(connect(bench)).rejects.toMatchObject({ details: { podId: kept.podId } });
    await connect(bench, [{ ...mapping, hostPort: 5301 }]);
  });

  test('are free again when the pod could not be connected, or nft failed', async () => {
    await using bench = new Bench();
    await bench.network.prepare(ctx);
    bench.addon.before.set('attachVeth', () => Promise.reject(new Error('no veth')));
    await expect(connect(bench)).rejects.toThrow('no veth');
    bench.addon.before.clear();
    bench.tools.codes.push(1, 1);
    await expect(connect(bench)).rejects.toMatchObject({ code: 'KERNEL' });
    await connect(bench);
    expect(bench.leases.values()).toHaveLength(1);
  });

  test('that could not be freed when their pod was not made are freed later', async () => {
    await using bench = new Bench();
    await bench.network.prepare(ctx);
    bench.tools.codes.push(...Array<number>(4).fill(1));
    await expect(connect(bench)).rejects.toMatchObject({ code: 'KERNEL' });
    await expect(connect(bench)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    bench.network.status();
    for (let turns = 0; turns < 20 && bench.leases.size > 0; turns++) await turn();
    await connect(bench);
    expect(bench.leases.size).toBe(1);
  });

  test('of a family that pods have no addresses of keep neither address nor port, and no berthd from starting', async () => {
    await using bench = new Bench({ ipv4Subnet: '10.1.1.0/30', ipv6Subnet: '' });
    await expect(connect(bench, [{ ...mapping, hostIp: 'fd00::1' }])).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: /no IPv6 address/,
    });
    expect(bench.leases.values()).toEqual([]);
    expect([...bench.addon.links.keys()]).toEqual(['berth0']);
    const podId = randomIds.next();
    const portMappings = [{ ...mapping, hostIp: '::' }];
    await bench.leases.put(ctx, podId, { podId, addresses: ['10.1.1.2'], portMappings });
    await bench.network[Symbol.asyncDispose]();
    bench.network = bench.open({ ipv4Subnet: '10.1.1.0/30', ipv6Subnet: '' });
    await bench.network.prepare(ctx);
    await bench.network.keepOnly(ctx, new Set());
    expect((await connect(bench)).record.addresses).toEqual(['10.1.1.2']);
  });

  test('a pod keeps its network until its ports are gone from the table', async () => {
    await using bench = new Bench();
    const { podId, record } = await connect(bench);
    bench.tools.codes.push(1, 1);
    await expect(bench.network.tearDown(ctx, podId, record)).rejects.toMatchObject({ code: 'KERNEL' });
    await expect(connect(bench)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    await bench.network.tearDown(ctx, podId, record);
    await connect(bench);
  });
});
