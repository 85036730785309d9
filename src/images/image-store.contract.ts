import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createCtx } from '#base/ctx';
import type { ImageConfig, ImageStore } from './image-store.ts';
import { pullContract } from './pull.contract.ts';
import { defaultDomain } from './reference.ts';
import type { FakeRegistry } from './registry/registry.fake.ts';

/** An image that both the fake and the real store can be given. */
export interface ContractImage {
  readonly names: readonly string[];
  readonly content: string;
  readonly config?: Partial<Pick<ImageConfig, 'user' | 'env' | 'cmd' | 'labels'>>;
  readonly passwd?: string;
  readonly group?: string;
}

export interface ImageStoreBench {
  readonly store: ImageStore;
  /** Where the store pulls from. */
  readonly registry: FakeRegistry;
  /** Makes an archive and gives its path. */
  archive(images: readonly ContractImage[]): Promise<string>;
  cleanUp(): Promise<void>;
}

const ctx = createCtx();
const app: ContractImage = {
  names: ['localhost/app:1'],
  content: 'one',
  config: { user: 'www-data', env: ['A=b'], cmd: ['run'], labels: { toString: 'x' } },
  passwd: 'root:x:0:0::/root:/bin/sh\n',
  group: 'root:x:0:\n',
};

/** Every ImageStore, the fake included, passes this. */
export function imageStoreContract(name: string, makeBench: () => Promise<ImageStoreBench>): void {
  describe(`image store contract: ${name}`, () => {
    let bench: ImageStoreBench;
    let store: ImageStore;
    beforeEach(async () => {
      bench = await makeBench();
      store = bench.store;
    });
    afterEach(() => bench.cleanUp());

    const load = async (image: ContractImage, reference?: string): Promise<string> => {
      const path = await bench.archive([image]);
      const [loaded] = await store.load(ctx, { path, ...(reference !== undefined && { reference }) });
      return loaded!.id;
    };

    it('is empty at first', () => {
      expect(store.list()).toEqual([]);
      expect(store.find('localhost/app:1')).toBeUndefined();
      expect(store.usage()).toMatchObject({ bytes: 0, inodes: 0 });
    });

    it('loads an image and finds it by every name', async () => {
      const id = await load(app);
      expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
      const image = store.find('localhost/app:1');
      expect(image).toMatchObject({ id, repoTags: ['localhost/app:1'], config: app.config, pinned: false });
      expect(image!.size).toBeGreaterThan(0);
      for (const reference of [id, id.slice(7), id.slice(0, 14), id.slice(7, 20)]) {
        expect(store.find(reference)?.id).toBe(id);
      }
      expect(store.find('localhost/app')).toBeUndefined();
      expect(store.find(id.slice(7, 13))).toBeUndefined();
      expect(store.find('Not A Name!')).toBeUndefined();
      expect(store.list()).toEqual([image]);
      expect(store.usage().bytes).toBeGreaterThan(0);
      expect(await store.strays(ctx)).toEqual([]);
    });

    it('fills in what a short name leaves out', async () => {
      const id = await load({ ...app, names: ['app'] });
      expect(store.find('app')?.id).toBe(id);
      expect(store.find('app:latest')?.id).toBe(id);
      expect(store.find(`${defaultDomain}/library/app:latest`)?.id).toBe(id);
    });

    it('loads the same image twice as one, and adds the new name', async () => {
      const id = await load(app);
      expect(await load({ ...app, names: ['localhost/other:2'] })).toBe(id);
      expect(store.list()).toHaveLength(1);
      expect([...store.find(id)!.repoTags].sort()).toEqual(['localhost/app:1', 'localhost/other:2']);
    });

    it('moves a name to the image that was loaded last', async () => {
      const old = await load(app);
      const fresh = await load({ ...app, content: 'two' });
      expect(fresh).not.toBe(old);
      expect(store.find('localhost/app:1')?.id).toBe(fresh);
      expect(store.find(old)?.repoTags).toEqual([]);
    });

    it('takes the name it is told', async () => {
      await load(app, 'localhost/renamed:3');
      expect(store.find('localhost/renamed:3')).toBeDefined();
      expect(store.find('localhost/app:1')).toBeUndefined();
      const two = await bench.archive([app, { ...app, names: ['localhost/b:1'], content: 'two' }]);
      const named = store.load(ctx, { path: two, reference: 'localhost/both:1' });
      await expect(named).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      const bad = store.load(ctx, { path: two, reference: 'NOT a name' });
      await expect(bad).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    });

    it('loads several images of one archive', async () => {
      const path = await bench.archive([app, { ...app, names: ['localhost/b:1'], content: 'two' }]);
      expect(await store.load(ctx, { path })).toHaveLength(2);
      expect(store.list()).toHaveLength(2);
    });

    it('says NOT_FOUND for an archive that is not there', async () => {
      await expect(store.load(ctx, { path: '/nowhere/at/all.tar' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });

    it('removes every name of an image by any one of them, and again without error', async () => {
      const id = await load(app);
      await load({ ...app, names: ['localhost/other:2'] });
      await Promise.all([store.remove(ctx, 'localhost/other:2'), store.remove(ctx, id)]);
      expect(store.list()).toEqual([]);
      expect(store.find('localhost/app:1')).toBeUndefined();
      await store.remove(ctx, id);
      await store.remove(ctx, 'never/was:1');
      expect(store.usage()).toMatchObject({ bytes: 0, inodes: 0 });
      expect(await store.strays(ctx)).toEqual([]);
    });

    it('keeps the layers of a removed image while a lease holds them', async () => {
      const id = await load(app);
      const layers = await store.lease(ctx, id, 'c1');
      expect(layers.lowers.length).toBeGreaterThan(0);
      expect(await store.lease(ctx, id, 'c1')).toEqual(layers);
      await store.remove(ctx, id);
      expect(store.find(id)).toBeUndefined();
      expect(store.usage().bytes).toBeGreaterThan(0);
      expect(await store.lease(ctx, id, 'c1')).toEqual(layers);
      expect(await (await store.accounts(ctx, id)).passwd()).toBe(app.passwd);
      await expect(store.lease(ctx, id, 'c2')).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await store.release(ctx, 'c1');
      await store.release(ctx, 'c1');
      expect(store.usage()).toMatchObject({ bytes: 0, inodes: 0 });
      expect(await store.strays(ctx)).toEqual([]);
    });

    it('refuses a lease of what is not there, and a lease id for another image', async () => {
      await expect(store.lease(ctx, `sha256:${'0'.repeat(64)}`, 'c1')).rejects.toMatchObject({ code: 'NOT_FOUND' });
      const first = await load(app);
      const second = await load({ ...app, names: ['localhost/b:1'], content: 'two' });
      await store.lease(ctx, first, 'c1');
      await expect(store.lease(ctx, second, 'c1')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    });

    it('drops the leases that recovery does not know', async () => {
      const id = await load(app);
      await store.lease(ctx, id, 'known');
      await store.lease(ctx, id, 'unknown');
      await store.remove(ctx, id);
      await store.keepLeases(ctx, new Map([['known', { imageId: id, lowers: [] }]]));
      expect(store.usage().bytes).toBeGreaterThan(0);
      await store.keepLeases(ctx, new Map());
      expect(store.usage().bytes).toBe(0);
    });

    it('reads the accounts of an image, "" for missing files', async () => {
      const id = await load(app);
      const texts = async (imageId: string): Promise<readonly string[]> => {
        const accounts = await store.accounts(ctx, imageId);
        return [await accounts.passwd(), await accounts.group()];
      };
      for (const _twice of [1, 2]) expect(await texts(id)).toEqual([app.passwd, app.group]);
      const bare = await load({ names: ['localhost/bare:1'], content: 'bare' });
      expect(await texts(bare)).toEqual(['', '']);
      await expect(store.accounts(ctx, 'sha256:none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });

    it('ends a load whose caller went away', async () => {
      const path = await bench.archive([app]);
      const gone = createCtx({ signal: AbortSignal.abort(new Error('caller left')) });
      await expect(store.load(gone, { path })).rejects.toThrow('caller left');
      expect(store.list()).toEqual([]);
    });
  });
  pullContract(name, makeBench);
}
