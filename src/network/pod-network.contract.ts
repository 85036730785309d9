import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { isIP } from 'node:net';
import { createCtx } from '#base/ctx';
import { randomIds, shortId } from '#base/ids';
import type { PodNetwork, PodNetworkRecord } from './pod-network.ts';
import { networkRequest } from './network-request.fixture.ts';

export interface NetworkBench {
  readonly network: PodNetwork;
  cleanUp(): Promise<void>;
}

const ctx = createCtx();

/** What every implementation of PodNetwork does. `open` gives one that is ready. */
export function podNetworkContract(name: string, open: () => Promise<NetworkBench>): void {
  describe(`${name}: the contract of PodNetwork`, () => {
    let bench: NetworkBench;
    let network: PodNetwork;

    beforeAll(async () => {
      bench = await open();
      network = bench.network;
    });

    beforeEach(async () => {
      await network.keepOnly(ctx, new Set());
    });

    afterAll(async () => {
      await bench.cleanUp();
    });

    const setUp = async (podId = randomIds.next()): Promise<{ podId: string; record: PodNetworkRecord }> => {
      using netns = await network.takeNamespace(ctx);
      return { podId, record: await network.setUp(ctx, networkRequest(podId, netns)) };
    };

    test('is ready and says nothing of a reason', () => {
      expect(network.status()).toMatchObject({ ready: true, reason: '' });
    });

    test('gives namespaces that their takers own, each another one', async () => {
      using one = await network.takeNamespace(ctx);
      using other = await network.takeNamespace(ctx);
      expect(one.open && other.open).toBe(true);
      expect(one.number).not.toBe(other.number);
    });

    test('connects many pods at once, each with addresses and a link of its own', async () => {
      const pods = await Promise.all(Array.from({ length: 10 }, () => setUp()));
      const addresses = pods.flatMap(({ record }) => record.addresses);
      expect(addresses.every((address) => isIP(address) !== 0)).toBe(true);
      expect(new Set(addresses).size).toBe(addresses.length);
      expect(new Set(pods.map(({ record }) => record.hostInterface)).size).toBe(pods.length);
      for (const { record } of pods) {
        expect(record.mode).toBe(network.mode);
        expect(record.addresses.length).toBeGreaterThan(0);
        expect(record.hostInterface).toMatch(/^.{1,15}$/);
      }
    });

    test('refuses a pod that is connected, and leaves it as it is', async () => {
      const { podId } = await setUp();
      await expect(setUp(podId)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
      expect(await network.strays(ctx, new Set([podId]))).toEqual([]);
      expect(await network.strays(ctx, new Set())).not.toEqual([]);
    });

    test('leaves nothing of a pod whose caller went away', async () => {
      using netns = await network.takeNamespace(ctx);
      const gone = createCtx({ signal: AbortSignal.abort(new Error('gone')) });
      await expect(network.setUp(gone, networkRequest(randomIds.next(), netns))).rejects.toThrow('gone');
      expect(await network.strays(ctx, new Set())).toEqual([]);
    });

    test('leaves nothing of a pod whose namespace is closed', async () => {
      const netns = await network.takeNamespace(ctx);
      netns[Symbol.dispose]();
      await expect(network.setUp(ctx, networkRequest(randomIds.next(), netns))).rejects.toThrow();
      expect(await network.strays(ctx, new Set())).toEqual([]);
    });

    test('tears down, also twice and without the namespace; the address is not the next one given', async () => {
      const { podId, record } = await setUp();
      await network.tearDown(ctx, podId, record);
      await network.tearDown(ctx, podId, record);
      expect(await network.strays(ctx, new Set())).toEqual([]);
      const next = await setUp();
      expect(next.record.addresses).not.toContain(record.addresses[0]);
    });

    test('a late second teardown does not free what another pod has', async () => {
      const { podId, record } = await setUp();
      await network.tearDown(ctx, podId, record);
      const other = await setUp();
      await network.tearDown(ctx, podId, { ...record, addresses: other.record.addresses });
      const third = await setUp();
      expect(third.record.addresses).not.toContain(other.record.addresses[0]);
      expect(await network.strays(ctx, new Set([other.podId, third.podId]))).toEqual([]);
    });

    test('refuses to tear down what another mode made', async () => {
      const { podId, record } = await setUp();
      const mode = network.mode === 'cni' ? 'builtin' : 'cni';
      await expect(network.tearDown(ctx, podId, { ...record, mode })).rejects.toMatchObject({
        code: 'INTERNAL',
      });
    });

    test('keepOnly frees what unknown pods have, says so, and finds nothing the second time', async () => {
      const kept = await setUp();
      const lost = await setUp();
      const known = new Set([kept.podId]);
      const strays = await network.strays(ctx, known);
      expect(strays.some((text) => text.includes(shortId(lost.podId)))).toBe(true);
      expect(strays.some((text) => text.includes(shortId(kept.podId)))).toBe(false);
      expect(await network.keepOnly(ctx, known)).toEqual(strays);
      expect(await network.keepOnly(ctx, known)).toEqual([]);
      expect(await network.strays(ctx, known)).toEqual([]);
    });

    test('refuses what is no subnet, takes none for none, and goes on', async () => {
      await expect(network.useSubnets(ctx, ['nonsense'])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await network.useSubnets(ctx, []);
      await setUp();
      expect(network.status().ready).toBe(true);
    });
  });
}
