import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createCtx } from '#base/ctx';
import type { CollectionSpec, Store } from './collection.ts';
import { encodeRecord } from './record.ts';

/** What a contract run needs of an implementation: open the same state again and again. */
export interface StoreBench {
  /** Opens the state that earlier calls left. The store before is disposed first. */
  open(): Promise<Store>;
  /** Writes a raw value under a key while no store is open, as an older release or a bad disk would. */
  plant(key: string, raw: string): Promise<void>;
  cleanUp(): Promise<void>;
}

interface Pod {
  readonly name: string;
  readonly createdAtNs: bigint;
  readonly labels: Readonly<Record<string, string>>;
}

const podSpec: CollectionSpec<Pod> = {
  kind: 'pod',
  version: 2,
  sync: false,
  parse: (value) => {
    const pod = value as Partial<Pod>;
    if (typeof pod.name !== 'string' || typeof pod.createdAtNs !== 'bigint' || !pod.labels)
      throw new Error('not a pod');
    return pod as Pod;
  },
  migrations: { 1: (value) => ({ ...(value as object), labels: {} }) },
};

const imageSpec: CollectionSpec<string> = { kind: 'image', version: 1, sync: true, parse: String };

const ctx = createCtx();
const pod = (name: string, labels: Record<string, string> = {}): Pod => ({
  name,
  createdAtNs: 1_800_000_000_123_456_789n,
  labels,
});

/** Every Store, the fake included, passes this. */
export function storeContract(name: string, makeBench: () => Promise<StoreBench>): void {
  describe(`store contract: ${name}`, () => {
    let bench: StoreBench;
    let store: Store;
    const reopen = async (): Promise<Store> => {
      await store[Symbol.asyncDispose]();
      store = await bench.open();
      return store;
    };

    beforeEach(async () => {
      bench = await makeBench();
      store = await bench.open();
    });
    afterEach(async () => {
      await store[Symbol.asyncDispose]();
      await bench.cleanUp();
    });

    it('gives undefined for what was never put', async () => {
      const pods = await store.open(ctx, podSpec);
      expect(pods.get('a')).toBeUndefined();
      expect(pods.size).toBe(0);
      await pods.delete(ctx, 'a');
    });

    it('gives a put record back, bigint included, also after a restart', async () => {
      let pods = await store.open(ctx, podSpec);
      await pods.put(ctx, 'a', pod('web'));
      expect(pods.get('a')).toEqual(pod('web'));
      pods = await (await reopen()).open(ctx, podSpec);
      expect(pods.get('a')).toEqual(pod('web'));
      expect(pods.values()).toEqual([pod('web')]);
      expect(pods.bootId('a')).toEqual(expect.any(String));
    });

    it('deletes for good', async () => {
      let pods = await store.open(ctx, podSpec);
      await pods.put(ctx, 'a', pod('web'));
      await pods.delete(ctx, 'a');
      expect(pods.size).toBe(0);
      pods = await (await reopen()).open(ctx, podSpec);
      expect(pods.size).toBe(0);
    });

    it('freezes records to the last leaf', async () => {
      const pods = await store.open(ctx, podSpec);
      await pods.put(ctx, 'a', pod('web', { app: 'x' }));
      const labels = pods.get('a')?.labels as Record<string, string>;
      expect(() => (labels['app'] = 'y')).toThrow(TypeError);
    });

    it('keeps the last of many puts that nobody waited for', async () => {
      let pods = await store.open(ctx, podSpec);
      await Promise.all(Array.from({ length: 200 }, (_, i) => pods.put(ctx, 'a', pod(`n${i}`))));
      expect(pods.get('a')?.name).toBe('n199');
      pods = await (await reopen()).open(ctx, podSpec);
      expect(pods.get('a')?.name).toBe('n199');
    });

    it('takes labels of any name and text for what they are', async () => {
      const labels = Object.fromEntries([
        ['__proto__', 'p'],
        ['n', '12345678901234567890'],
        ['$bigint', '5'],
        ['é\u0000', '\ud83d\ude00'],
      ]);
      let pods = await store.open(ctx, podSpec);
      await pods.put(ctx, 'a', pod('web', labels));
      pods = await (await reopen()).open(ctx, podSpec);
      expect(Object.entries(pods.get('a')?.labels ?? {})).toEqual(Object.entries(labels));
    });

    it('refuses what is not plain data and what has no id', async () => {
      const pods = await store.open(ctx, { ...podSpec, parse: (value) => value });
      await expect(pods.put(ctx, 'a', { f: () => 1 })).rejects.toMatchObject({ code: 'INTERNAL' });
      await expect(pods.put(ctx, 'a', { at: new Date() })).rejects.toMatchObject({ code: 'INTERNAL' });
      await expect(pods.put(ctx, 'a', { n: NaN })).rejects.toMatchObject({ code: 'INTERNAL' });
      await expect(pods.put(ctx, '', {})).rejects.toMatchObject({ code: 'INTERNAL' });
      expect(pods.size).toBe(0);
    });

    it('writes a transaction over two collections as one', async () => {
      let pods = await store.open(ctx, podSpec);
      let images = await store.open(ctx, imageSpec);
      await pods.put(ctx, 'old', pod('old'));
      await store.transaction(ctx, [
        { op: 'put', collection: pods, id: 'a', value: pod('web') },
        { op: 'delete', collection: pods, id: 'old' },
        { op: 'put', collection: images, id: 'i', value: 'busybox' },
      ]);
      await reopen();
      pods = await store.open(ctx, podSpec);
      images = await store.open(ctx, imageSpec);
      expect([pods.get('a')?.name, pods.get('old'), images.get('i')]).toEqual(['web', undefined, 'busybox']);
    });

    it('changes nothing when one record of a transaction cannot be stored', async () => {
      const pods = await store.open(ctx, podSpec);
      const bad = [
        { op: 'put', collection: pods, id: 'a', value: pod('web') },
        { op: 'put', collection: pods, id: 'b', value: new Map() },
      ] as const;
      await expect(store.transaction(ctx, bad)).rejects.toMatchObject({ code: 'INTERNAL' });
      expect(pods.size).toBe(0);
    });

    it('keeps the kinds apart', async () => {
      const pods = await store.open(ctx, podSpec);
      await pods.put(ctx, 'x/y', pod('slash'));
      const images = await store.open(ctx, imageSpec);
      expect(images.size).toBe(0);
      expect((await (await reopen()).open(ctx, podSpec)).get('x/y')?.name).toBe('slash');
    });

    it('migrates a record of an older version, once', async () => {
      await store[Symbol.asyncDispose]();
      await bench.plant(
        'pod/a',
        '{"v":1,"bootId":"b0","value":{"name":"web","createdAtNs":"7"},"bigints":[["createdAtNs"]]}',
      );
      store = await bench.open();
      let pods = await store.open(ctx, podSpec);
      expect(pods.get('a')).toEqual({ name: 'web', createdAtNs: 7n, labels: {} });
      expect(pods.bootId('a')).toBe('b0');
      pods = await (await reopen()).open(ctx, { ...podSpec, migrations: {} });
      expect(pods.get('a')?.name).toBe('web');
    });

    it('moves aside what it cannot read, and starts', async () => {
      await store[Symbol.asyncDispose]();
      await bench.plant('pod/broken', '{"v":2,');
      await bench.plant('pod/shape', '{"v":2,"bootId":"b","value":{"name":5}}');
      await bench.plant('pod/path', '{"v":2,"bootId":"b","value":{"name":"5"},"bigints":[["__proto__","x"]]}');
      await bench.plant('pod/old', '{"v":0,"bootId":"b","value":{"name":"5"}}');
      store = await bench.open();
      let pods = await store.open(ctx, podSpec);
      expect(pods.size).toBe(0);
      const keys = (): string[] => store.quarantined.map((record) => record.key).sort();
      const all = ['pod/broken', 'pod/old', 'pod/path', 'pod/shape'];
      expect(keys()).toEqual(all);
      pods = await (await reopen()).open(ctx, podSpec);
      expect(pods.size).toBe(0);
      expect(keys()).toEqual(all);
      await store.forget(ctx);
      expect(keys()).toEqual([]);
      await (await reopen()).open(ctx, podSpec);
      expect(keys()).toEqual([]);
    });

    it('reads what it knows of a newer record, and leaves the record as it is', async () => {
      await store[Symbol.asyncDispose]();
      const newer =
        '{"v":9,"bootId":"b","value":{"name":"web","createdAtNs":"7","labels":{},"more":1},"bigints":[["createdAtNs"]]}';
      await bench.plant('pod/known', newer);
      await bench.plant('pod/unknown', '{"v":9,"bootId":"b","value":{}}');
      store = await bench.open();
      let pods = await store.open(ctx, podSpec);
      expect([pods.get('known')?.name, pods.get('unknown')]).toEqual(['web', undefined]);
      expect(store.quarantined).toEqual([]);
      expect(store.newer.map(({ key }) => key).sort()).toEqual(['pod/known', 'pod/unknown']);
      await pods.put(ctx, 'known', pod('changed'));
      await pods.put(ctx, 'unknown', pod('made anew'));
      await store.quarantine(ctx, pods, 'unknown', 'stays where it is');
      expect([pods.get('known')?.name, pods.get('unknown')]).toEqual(['changed', undefined]);
      pods = await (await reopen()).open(ctx, podSpec);
      expect([pods.get('known')?.name, pods.get('unknown')]).toEqual(['web', undefined]);
      await pods.delete(ctx, 'known');
      await pods.delete(ctx, 'unknown');
      expect(store.newer).toEqual([]);
      pods = await (await reopen()).open(ctx, podSpec);
      expect([pods.size, store.newer]).toEqual([0, []]);
    });

    it('leaves a newer record that cannot be true, until it is told to forget it', async () => {
      await store[Symbol.asyncDispose]();
      const newer =
        '{"v":9,"bootId":"b","value":{"name":"web","createdAtNs":"7","labels":{}},"bigints":[["createdAtNs"]]}';
      for (const id of ['gone', 'again', 'used']) await bench.plant(`pod/${id}`, newer);
      store = await bench.open();
      let pods = await store.open(ctx, podSpec);
      await store.quarantine(ctx, pods, 'gone', 'its node is gone');
      await store.quarantine(ctx, pods, 'again', 'it contradicts another');
      await pods.put(ctx, 'again', pod('made anew'));
      expect([store.quarantined, store.newer.find(({ key }) => key === 'pod/gone')?.reason]).toEqual([
        [],
        'written by a newer berthd, and left as it is: its node is gone',
      ]);
      pods = await (await reopen()).open(ctx, podSpec);
      expect([...pods.values()].map(({ name }) => name)).toEqual(['web', 'web', 'web']);
      await store.quarantine(ctx, pods, 'gone', 'its node is gone');
      await store.quarantine(ctx, pods, 'again', 'it contradicts another');
      await pods.put(ctx, 'again', pod('made anew'));
      await store.forget(ctx);
      expect(store.newer.map(({ key }) => key).sort()).toEqual(['pod/again', 'pod/used']);
      pods = await (await reopen()).open(ctx, podSpec);
      expect([pods.get('gone'), pods.get('again')?.name, pods.get('used')?.name]).toEqual([undefined, 'web', 'web']);
    });

    it('moves aside a record in which a digit has changed, and one that lies in the place of another', async () => {
      const owned = { ...podSpec, idOf: (value: Pod) => value.name };
      const raw = encodeRecord(podSpec.version, 'b', { ...pod('web'), createdAtNs: 1_234_567n });
      await store[Symbol.asyncDispose]();
      await bench.plant('pod/web', raw.replace('1234567', '1234568'));
      await bench.plant('pod/db', raw);
      store = await bench.open();
      const pods = await store.open(ctx, owned);
      expect(pods.size).toBe(0);
      const reasons = Object.fromEntries(store.quarantined.map(({ key, reason }) => [key, reason]));
      expect(reasons).toEqual({ 'pod/web': 'damaged: its sum is wrong', 'pod/db': 'it is the record of web' });
    });

    it('tells records of a kind that nobody opens, leaves them, and deletes them when it is told to', async () => {
      await store[Symbol.asyncDispose]();
      await bench.plant('pxd/a', '{"v":2,"bootId":"b","value":{}}');
      await bench.plant('nonsense', 'x');
      for (let start = 0; start < 2; start++) {
        store = await bench.open();
        const pods = await store.open(ctx, podSpec);
        expect(store.unknown).toEqual([]);
        store.everythingIsOpen(ctx);
        expect(pods.size).toBe(0);
        await expect(store.open(ctx, imageSpec)).rejects.toMatchObject({ code: 'INTERNAL' });
        expect([...store.unknown].sort()).toEqual(['nonsense', 'pxd/a']);
        if (start === 1) await store.forget(ctx);
        await store[Symbol.asyncDispose]();
      }
      store = await bench.open();
      store.everythingIsOpen(ctx);
      expect(store.unknown).toEqual([]);
    });

    it('moves a record aside when told to', async () => {
      let pods = await store.open(ctx, podSpec);
      await pods.put(ctx, 'a', pod('web'));
      await store.quarantine(ctx, pods, 'a', 'its directory is gone');
      await store.quarantine(ctx, pods, 'unknown', 'nothing happens');
      expect(pods.get('a')).toBeUndefined();
      pods = await (await reopen()).open(ctx, podSpec);
      expect(pods.get('a')).toBeUndefined();
      expect(store.quarantined).toEqual([{ key: 'pod/a', reason: 'its directory is gone' }]);
    });

    it('refuses a kind that is open already, a name that is no kind, and another store', async () => {
      const pods = await store.open(ctx, podSpec);
      await expect(store.open(ctx, podSpec)).rejects.toMatchObject({ code: 'INTERNAL' });
      await expect(store.open(ctx, { ...podSpec, kind: 'quarantine' })).rejects.toMatchObject({ code: 'INTERNAL' });
      await expect(store.open(ctx, { ...podSpec, kind: 'a/b' })).rejects.toMatchObject({ code: 'INTERNAL' });
      await reopen();
      const foreign = [{ op: 'delete', collection: pods, id: 'a' }] as const;
      await expect(store.transaction(ctx, foreign)).rejects.toMatchObject({ code: 'INTERNAL' });
    });

    it('writes nothing after it was closed, but still reads from memory', async () => {
      const pods = await store.open(ctx, podSpec);
      await pods.put(ctx, 'a', pod('web'));
      await store[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      await expect(pods.put(ctx, 'b', pod('db'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(pods.get('a')?.name).toBe('web');
    });
  });
}
