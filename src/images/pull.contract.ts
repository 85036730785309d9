import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { BerthError } from '#base/errors';
import { tarOf, textFile } from './archive/build-archive.fake.ts';
import type { ImageStoreBench } from './image-store.contract.ts';
import type { ImageStore, PullStatus } from './image-store.ts';
import type { BuiltImage, FakeRegistry } from './registry/registry.fake.ts';
import type { RegistryCredentials } from './registry/registry.ts';

const ctx = createCtx();
const app = 'registry.test/team/app:1';
const repository = 'registry.test/team/app';

/** What every ImageStore does when it pulls. */
export function pullContract(name: string, makeBench: () => Promise<ImageStoreBench>): void {
  describe(`pull contract: ${name}`, () => {
    let bench: ImageStoreBench;
    let store: ImageStore;
    let registry: FakeRegistry;
    beforeEach(async () => {
      bench = await makeBench();
      ({ store, registry } = bench);
    });
    afterEach(() => bench.cleanUp());

    const publish = (content = 'one', names: readonly string[] = [app]): BuiltImage =>
      registry.add({ names, layers: [tarOf([textFile('content', content)])], config: { Env: [`CONTENT=${content}`] } });
    const credentials = (password: string): RegistryCredentials => ({
      ...{ username: 'me', password, auth: '', serverAddress: '', identityToken: '', registryToken: '' },
    });

    it('pulls by tag and knows the image by tag, digest and id', async () => {
      const { id, manifestDigest } = publish();
      const image = await store.pull(ctx, { reference: app });
      expect(image).toMatchObject({ id, repoTags: [app], repoDigests: [`${repository}@${manifestDigest}`] });
      expect(image.size).toBeGreaterThan(0);
      for (const reference of [app, `${repository}@${manifestDigest}`, id, id.slice(7, 20)]) {
        expect(store.find(reference)?.id).toBe(id);
      }
      expect(store.list()).toEqual([image]);
      expect(store.usage().bytes).toBeGreaterThan(0);
      expect((await store.inspect(ctx, id)).diffIds).toHaveLength(1);
      expect(await store.strays(ctx)).toEqual([]);
      await store.remove(ctx, `${repository}@${manifestDigest}`);
      expect(store.list()).toEqual([]);
      expect(store.usage()).toMatchObject({ bytes: 0, inodes: 0 });
      expect(await store.strays(ctx)).toEqual([]);
    });

    it('pulls by digest without giving a tag, also where one is named beside it', async () => {
      const { manifestDigest } = publish();
      for (const tag of ['', ':7']) {
        const image = await store.pull(ctx, { reference: `${repository}${tag}@${manifestDigest}` });
        expect([image.repoTags, image.repoDigests]).toEqual([[], [`${repository}@${manifestDigest}`]]);
      }
      expect((await store.pull(ctx, { reference: app })).repoTags).toEqual([app]);
      expect(store.list()).toHaveLength(1);
    });

    it('asks the registry every time and fetches what is here no second time', async () => {
      publish();
      const first = await store.pull(ctx, { reference: app });
      expect(await store.pull(ctx, { reference: app })).toEqual(first);
      expect(registry.resolves.get(app)).toBe(2);
      expect(Math.max(0, ...registry.fetches.values())).toBeLessThanOrEqual(1);
    });

    it('moves a tag to the image that it names now', async () => {
      const old = publish();
      await store.pull(ctx, { reference: app });
      const fresh = publish('two');
      expect((await store.pull(ctx, { reference: app })).id).toBe(fresh.id);
      expect(store.find(app)?.id).toBe(fresh.id);
      expect(store.find(old.id)?.repoTags).toEqual([]);
      expect(store.find(old.id)?.repoDigests).toEqual([`${repository}@${old.manifestDigest}`]);
    });

    it('is one pull for all that ask for the same at once', async () => {
      const { id } = publish();
      const release = registry.hold(app);
      const stages: PullStatus[] = [];
      const pulls = [1, 2, 3].map(() =>
        store.pull(ctx, { reference: app, onProgress: (status) => void stages.push(status) }),
      );
      expect(store.pulls()).toEqual([expect.objectContaining({ reference: app, waiters: 3 })]);
      release();
      expect((await Promise.all(pulls)).map((image) => image.id)).toEqual([id, id, id]);
      expect(registry.resolves.get(app)).toBe(1);
      expect(stages.map(({ stage }) => stage)).toContain('resolve');
      expect(store.pulls()).toEqual([]);
    });

    it('shares no pull between different credentials', async () => {
      const { id } = publish();
      registry.fail(app, new BerthError('UNAUTHENTICATED', 'wrong password'));
      const wrong = store.pull(ctx, { reference: app, credentials: credentials('wrong') });
      const right = store.pull(ctx, { reference: app, credentials: credentials('right') });
      await expect(wrong).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
      expect((await right).id).toBe(id);
      expect(registry.requests.map((request) => request.credentials?.password)).toEqual(['wrong', 'right']);
    });

    it('goes on while somebody waits, and ends when the last one leaves', async () => {
      const { id } = publish();
      let release = registry.hold(app);
      const leaver = new AbortController();
      const left = store.pull(createCtx({ signal: leaver.signal }), { reference: app });
      const stays = store.pull(ctx, { reference: app });
      leaver.abort(new BerthError('CANCELLED', 'the caller left'));
      await expect(left).rejects.toThrow('the caller left');
      release();
      expect((await stays).id).toBe(id);
      await store.remove(ctx, id);

      release = registry.hold(app);
      const alone = new AbortController();
      const ended = store.pull(createCtx({ signal: alone.signal }), { reference: app });
      alone.abort(new BerthError('CANCELLED', 'the caller left'));
      const next = store.pull(ctx, { reference: app });
      await expect(ended).rejects.toThrow('the caller left');
      release();
      expect((await next).id).toBe(id);
      expect(store.pulls()).toEqual([]);
    });

    it('does nothing for a caller who has left before', async () => {
      publish();
      const gone = createCtx({ signal: AbortSignal.abort(new Error('left')) });
      await expect(store.pull(gone, { reference: app })).rejects.toThrow('left');
      expect(registry.resolves.size).toBe(0);
    });

    it('says what the registry says, and refuses what is no name', async () => {
      const missing = store.pull(ctx, { reference: 'registry.test/none:1' });
      await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(store.pull(ctx, { reference: 'No Name' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      expect(store.list()).toEqual([]);
    });
  });
}
