import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
// eslint-disable-next-line no-restricted-imports -- tests may start processes
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { createCtx } from '#base/ctx';
import { BerthError } from '#base/errors';
import { FakeDisk, FakeStore } from '#store/store.fake';
import type { Write } from '#store/records';
import { tarOf, textFile } from './archive/build-archive.fake.ts';
import { digestOf } from './config.ts';
import type { PullStatus } from './image-store.ts';
import { LocalImageStore } from './local-image-store.ts';
import { testNatives } from './natives.fake.ts';
import type { BuiltImage } from './registry/registry.fake.ts';
import { FakeRegistry } from './registry/registry.fake.ts';

const ctx = createCtx();
const natives = testNatives();
const app = 'registry.test/app:1';

type Pack = (bytes: Uint8Array) => Uint8Array;
const plain: Pack = (bytes) => bytes;

if ('missing' in natives) {
  it(`SKIPPED: ${natives.missing}`, () => {
    console.warn(`pulls are not tested against a disk: ${natives.missing}`);
  });
} else {
  describe('pulling to a disk', () => {
    let top: string;
    let registry: FakeRegistry;
    const opened: LocalImageStore[] = [];
    beforeEach(async () => {
      top = await mkdtemp(path.join(tmpdir(), 'berth-pull-'));
      registry = new FakeRegistry();
    });
    afterEach(async () => {
      for (const images of opened.splice(0)) await images[Symbol.asyncDispose]();
      await rm(top, { recursive: true });
    });

    const open = async (root?: string, disk = new FakeDisk(), own = natives): Promise<LocalImageStore> => {
      const store = new FakeStore({ disk });
      const images = await LocalImageStore.open(ctx, {
        ...own,
        root: root ?? path.join(top, 'images'),
        registry,
        store,
      });
      opened.push(images);
      return images;
    };
    const tars = (contents: readonly string[]): Buffer[] =>
      contents.map((content) => tarOf([textFile(`file-${content.slice(0, 8)}`, content)]));
    const publish = (contents: readonly string[], pack = plain, name = app): BuiltImage => {
      const layers = tars(contents);
      return registry.add({ names: [name], layers: layers.map(pack), diffIds: layers.map(digestOf) });
    };
    const nothingLeft = async (images: LocalImageStore, layers: readonly string[] = []): Promise<void> => {
      expect(images.list()).toEqual([]);
      expect(images.usage()).toMatchObject({ bytes: 0, inodes: 0 });
      expect(await images.strays(ctx)).toEqual([]);
      const root = images.usage().mountpoint;
      expect(await readdir(path.join(root, 'tmp'))).toEqual([]);
      expect(await readdir(path.join(root, 'blobs/sha256'))).toEqual([]);
      expect((await readdir(path.join(root, 'layers'))).filter((name) => name !== '_')).toEqual(layers);
    };
    /** The reason of a pull that has to fail. */
    const failure = (images: LocalImageStore, own = ctx): Promise<unknown> =>
      images.pull(own, { reference: app }).then(
        () => 'it did not fail',
        (error: unknown) => error,
      );

    it.each<[string, Pack]>([
      ['plain', plain],
      ['gzip', gzipSync],
      ['zstd', zstdCompressSync],
    ])('unpacks %s layers as they come', async (_what, pack) => {
      const images = await open();
      publish(['bottom', 'top', 'x'.repeat(3_000_000)], pack);
      const statuses: PullStatus[] = [];
      const { id } = await images.pull(ctx, { reference: app, onProgress: (status) => void statuses.push(status) });
      const rootfs = await images.lease(ctx, id, 'c1');
      expect(rootfs.lowers).toHaveLength(3);
      const read = (layer: number, name: string): Promise<string> =>
        readFile(path.join(rootfs.directory, rootfs.lowers[layer]!, name), 'utf8');
      expect([await read(1, 'file-top'), await read(2, 'file-bottom')]).toEqual(['top', 'bottom']);
      expect([...registry.fetches.values()]).toEqual([1, 1, 1]);
      expect(statuses.map(({ stage }) => stage)).toEqual(expect.arrayContaining(['layers', 'sync', 'record']));
      expect(
        statuses.at(-1)!.layers.every(({ state, size, downloaded }) => state === 'done' && downloaded === size),
      ).toBe(true);
      expect(await images.strays(ctx)).toEqual([]);
    });

    /** An addon under which the first so many unpackers are killed as they start, as the kernel does when memory runs out. */
    const killing = (times: number): typeof natives.addon => {
      let left = times;
      return new Proxy(natives.addon, {
        get: (addon, name: keyof typeof natives.addon) =>
          name !== 'spawn'
            ? addon[name]
            : (options: Parameters<typeof addon.spawn>[0]) => {
                const child = addon.spawn(options);
                if (options.path === natives.unpackBinary && left-- > 0) addon.pidfdSendSignal(child.pidfd, 9);
                return child;
              },
      });
    };
    it('downloads and unpacks a layer once more when its unpacker was killed from outside', async () => {
      const images = await open(undefined, undefined, { ...natives, addon: killing(1) });
      publish(['x'.repeat(3_000_000)], gzipSync);
      const { id } = await images.pull(ctx, { reference: app });
      const rootfs = await images.lease(ctx, id, 'c1');
      const file = path.join(rootfs.directory, rootfs.lowers[0]!, 'file-xxxxxxxx');
      expect((await readFile(file)).length).toBe(3_000_000);
      expect([...registry.fetches.values()]).toEqual([2]);
      expect(await images.strays(ctx)).toEqual([]);
    });

    it('says that the unpacker was killed when it is killed again, and leaves nothing', async () => {
      const images = await open(undefined, undefined, { ...natives, addon: killing(2) });
      publish(['x'.repeat(3_000_000)], gzipSync);
      expect(await failure(images)).toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringMatching(
          /unpacker of layer sha256:.* was killed by SIGKILL, perhaps .* out of memory/,
        ) as unknown,
        details: { signal: 9 },
      });
      expect([...registry.fetches.values()]).toEqual([2]);
      await nothingLeft(images);
    });

    it('tells the last words of an unpacker that ends without a result', async () => {
      const unpackBinary = path.join(top, 'unpack');
      await writeFile(unpackBinary, '#!/bin/sh\necho "cannot open\n libthing.so.3" >&2\nexit 127\n', { mode: 0o755 });
      const images = await open(undefined, undefined, { ...natives, unpackBinary });
      publish(['small']);
      expect(await failure(images)).toMatchObject({
        code: 'INTERNAL',
        message: expect.stringMatching(
          /ended with status 127 and no result; its last words: cannot open libthing\.so\.3$/,
        ) as unknown,
      });
      await nothingLeft(images);
    });

    it('has an ext4 begin every layer in a part of the disk of its own', async () => {
      const images = await open();
      const tmp = path.join(images.usage().mountpoint, 'tmp');
      const isExt4 = spawnSync('stat', ['-f', '-c', '%T', tmp], { encoding: 'utf8' }).stdout.trim() === 'ext2/ext3';
      const flags = spawnSync('lsattr', ['-d', tmp], { encoding: 'utf8' }).stdout.split(' ', 1)[0] ?? '';
      expect(flags.includes('T')).toBe(isExt4);
    });

    it('tells the config, the chain and the layers of what it pulled', async () => {
      const images = await open();
      const built = publish(['bottom', 'top']);
      const { id } = await images.pull(ctx, { reference: app });
      const { diffIds, chainId, configJson } = await images.inspect(ctx, id);
      const [bottom, upper] = tars(['bottom', 'top']).map(digestOf);
      expect(diffIds).toEqual([bottom, upper]);
      expect(chainId).toBe(digestOf(Buffer.from(`${bottom!} ${upper!}`)));
      expect(digestOf(Buffer.from(configJson))).toBe(built.id);
      await expect(images.inspect(ctx, 'sha256:none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });

    it('fetches a layer once for two images that are pulled at once', async () => {
      const images = await open();
      const base = 'base'.repeat(100_000);
      publish([base, 'one'], gzipSync);
      publish([base, 'two'], gzipSync, 'registry.test/other:1');
      const pulls = [app, 'registry.test/other:1'].map((reference) => images.pull(ctx, { reference }));
      expect(new Set((await Promise.all(pulls)).map(({ id }) => id)).size).toBe(2);
      expect([...registry.fetches.values()]).toEqual([1, 1, 1]);
      await images.remove(ctx, app);
      await images.remove(ctx, 'registry.test/other:1');
      await nothingLeft(images);
    });

    it('goes on with a shared layer when the image that began it is no longer wanted', async () => {
      const images = await open();
      const { layers } = publish(['shared', 'one']);
      const other = publish(['shared', 'two'], plain, 'registry.test/other:1');
      const release = registry.hold(layers[0]!.digest);
      const leaver = new AbortController();
      const left = failure(images, createCtx({ signal: leaver.signal }));
      const stays = images.pull(ctx, { reference: 'registry.test/other:1' });
      leaver.abort(new BerthError('CANCELLED', 'left'));
      expect(await left).toMatchObject({ code: 'CANCELLED' });
      release();
      expect((await stays).id).toBe(other.id);
    });

    it('shows nothing of a pull that breaks off in its third layer, and goes on there the next time', async () => {
      const images = await open();
      const built = publish(['a', 'b', 'c'.repeat(200_000), 'd'], gzipSync);
      const third = built.layers[2]!.digest;
      registry.fail(third, new BerthError('UNAVAILABLE', 'connection reset'));
      const release = registry.hold(third);
      const failed = failure(images);
      await untilState(images, [0, 1, 3], 'done');
      release();
      expect(await failed).toMatchObject({ code: 'UNAVAILABLE', message: 'connection reset' });
      expect(images.list()).toEqual([]);
      expect(images.usage().bytes).toBe(0);
      expect(await images.strays(ctx)).toEqual([]);
      await images.pull(ctx, { reference: app });
      expect(built.layers.map(({ digest }) => registry.fetches.get(digest))).toEqual([1, 1, 2, 1]);
      await images.remove(ctx, app);
      await nothingLeft(images);
    });

    it('gives the room of a broken pull back when images are removed', async () => {
      const images = await open();
      const built = publish(['a', 'b']);
      registry.fail(built.layers[1]!.digest, new BerthError('UNAVAILABLE', 'connection reset'));
      const release = registry.hold(built.layers[1]!.digest);
      const failed = failure(images);
      await untilState(images, [0], 'done');
      release();
      expect(await failed).toMatchObject({ code: 'UNAVAILABLE' });
      expect(await readdir(path.join(images.usage().mountpoint, 'layers'))).toHaveLength(2);
      await images.remove(ctx, 'registry.test/another:1');
      await nothingLeft(images);
    });

    it('refuses a layer whose content is not what the config says', async () => {
      const images = await open();
      const [layer] = tars(['honest']);
      registry.add({ names: [app], layers: [layer!], diffIds: [digestOf(Buffer.from('other'))] });
      expect(await failure(images)).toMatchObject({ code: 'IMAGE_INVALID', message: expect.stringMatching(/layer/) });
      await nothingLeft(images);
    });

    it('refuses a layer whose bytes are not those of its digest', async () => {
      const images = await open();
      const built = publish(['good', 'honest']);
      registry.corrupt(built.layers[1]!.digest, tars(['hostil'])[0]!);
      const error = await failure(images);
      expect(error).toMatchObject({ code: 'IMAGE_INVALID' });
      await nothingLeft(images);
    });

    it('refuses an image with fewer layers than its config says', async () => {
      const images = await open();
      const layers = tars(['a']);
      registry.add({ names: [app], layers, diffIds: [...layers.map(digestOf), digestOf(Buffer.from('b'))] });
      const message = expect.stringMatching(/has 1 layers, its config 2/);
      expect(await failure(images)).toMatchObject({ code: 'IMAGE_INVALID', message });
      expect(registry.fetches.size).toBe(0);
      await nothingLeft(images);
    });

    it('refuses an image that lies about the size of a layer that is here', async () => {
      const images = await open();
      publish(['a']);
      const { size } = await images.pull(ctx, { reference: app });
      const other = 'registry.test/liar:1';
      registry.add({ names: [other], layers: tars(['a']), layerSize: Number.MAX_SAFE_INTEGER });
      await expect(images.pull(ctx, { reference: other })).rejects.toMatchObject({
        code: 'IMAGE_INVALID',
        message: expect.stringMatching(/calls itself larger than/),
      });
      expect(images.list().map((image) => image.size)).toEqual([size]);
    });

    it('says RESOURCE_EXHAUSTED with the path on a full disk, and keeps nothing', async () => {
      const root = await mkdtemp(path.join(top, 'full-'));
      expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', root]).status).toBe(0);
      try {
        const images = await open(root);
        publish(['small', 'x'.repeat(12 << 20)], gzipSync);
        expect(await failure(images)).toMatchObject({
          code: 'RESOURCE_EXHAUSTED',
          message: expect.stringContaining(root),
        });
        await nothingLeft(images);
        publish(['small']);
        expect((await images.pull(ctx, { reference: app })).repoTags).toEqual([app]);
      } finally {
        for (const images of opened.splice(0)) await images[Symbol.asyncDispose]();
        spawnSync('umount', ['-l', root]);
      }
    });

    it('ends the download and the unpacker when the last caller leaves', async () => {
      const images = await open();
      const built = publish(['x'.repeat(4_000_000)]);
      const release = registry.hold(built.layers[0]!.digest);
      const leaver = new AbortController();
      const left = failure(images, createCtx({ signal: leaver.signal }));
      await untilState(images, [0], 'downloading');
      leaver.abort(new BerthError('CANCELLED', 'left'));
      expect(await left).toMatchObject({ code: 'CANCELLED' });
      expect(images.pulls()).toEqual([]);
      await nothingLeft(images);
      release();
    });

    it('ends what is under way when berthd ends', async () => {
      const images = await open();
      publish(['a']);
      registry.hold(app);
      const failed = failure(images);
      await images[Symbol.asyncDispose]();
      expect(await failed).toMatchObject({ code: 'UNAVAILABLE' });
    });

    it('lets the others wait when too many pull, in their order, and each may leave', async () => {
      const store = new FakeStore();
      const root = path.join(top, 'few');
      const images = await LocalImageStore.open(ctx, { ...natives, root, registry, store, parallelPulls: 1 });
      opened.push(images);
      const names = ['a', 'b', 'c'].map((name) => `registry.test/${name}:1`);
      for (const name of names) publish([name], plain, name);
      const release = registry.hold(names[0]!);
      const leaver = new AbortController();
      const pulls = names.map((reference, index) =>
        images.pull(index === 1 ? createCtx({ signal: leaver.signal }) : ctx, { reference }),
      );
      expect(images.pulls().map(({ stage }) => stage)).toEqual(['resolve', 'queued', 'queued']);
      leaver.abort(new BerthError('CANCELLED', 'left'));
      await expect(pulls[1]).rejects.toThrow('left');
      release();
      await Promise.all([pulls[0], pulls[2]]);
      expect(images.list()).toHaveLength(2);
    });

    it('writes nothing for an image that is here to the last name', async () => {
      const disk = new FakeDisk();
      const images = await open(path.join(top, 'same'), disk);
      publish(['a']);
      const first = await images.pull(ctx, { reference: app });
      disk.failNextWrite = new Error('it wrote');
      expect(await images.pull(ctx, { reference: app })).toEqual(first);
    });

    it('has the file system open, to be told of lost writes, before the first of them', async () => {
      const images = await open();
      publish(['a']);
      const opens = jest.spyOn(natives.addon, 'open');
      const spawns = jest.spyOn(natives.addon, 'spawn');
      const syncs = jest.spyOn(natives.addon, 'syncfs');
      try {
        await images.pull(ctx, { reference: app });
        const [opened, unpacked] = [opens, spawns].map(({ mock }) => mock.invocationCallOrder[0]!);
        expect(opened).toBeLessThan(unpacked!);
        expect(syncs.mock.calls).toEqual([[opens.mock.results[0]!.value]]);
      } finally {
        for (const spy of [opens, spawns, syncs]) spy.mockRestore();
      }
    });

    it('shows the registry’s client the config that is here, unless it is damaged', async () => {
      const images = await open();
      const { id, config } = publish(['a']);
      for (let pulls = 0; pulls < 2; pulls += 1) await images.pull(ctx, { reference: app });
      const blob = path.join(images.usage().mountpoint, 'blobs/sha256', id.slice('sha256:'.length));
      await writeFile(blob, 'damaged');
      await images.pull(ctx, { reference: app });
      const known = registry.requests.map(({ knownConfig }) => knownConfig && Buffer.from(knownConfig));
      expect(known).toEqual([undefined, config, undefined]);
    });

    describe('a berthd that is killed', () => {
      /** What the next berthd finds: files and database as they are now. */
      const kill = async (root: string, disk: FakeDisk): Promise<{ root: string; disk: FakeDisk }> => {
        const copy = path.join(top, 'next');
        await cp(root, copy, { recursive: true });
        const next = new FakeDisk();
        for (const [key, value] of disk.content) next.content.set(key, value);
        return { root: copy, disk: next };
      };
      const startsClean = async (left: { root: string; disk: FakeDisk }): Promise<void> => {
        const images = await open(left.root, left.disk);
        await images.keepLeases(ctx, new Map());
        expect(await images.strays(ctx)).toEqual([]);
        await nothingLeft(images);
        const { id } = await images.pull(ctx, { reference: app });
        const rootfs = await images.lease(ctx, id, 'c1');
        expect(await readFile(path.join(rootfs.directory, rootfs.lowers[0]!, 'file-b'), 'utf8')).toBe('b');
      };

      it('while it downloads, leaves nothing behind that the next one does not remove', async () => {
        const root = path.join(top, 'killed');
        const disk = new FakeDisk();
        const images = await open(root, disk);
        const built = publish(['a'.repeat(100_000), 'b']);
        const release = registry.hold(built.layers[0]!.digest);
        const pulled = images.pull(ctx, { reference: app });
        await untilState(images, [1], 'done');
        const left = await kill(root, disk);
        expect(await readdir(path.join(left.root, 'tmp'))).toHaveLength(1);
        release();
        await pulled;
        await startsClean(left);
      });

      it.each<['before' | 'after']>([['before'], ['after']])(
        '%s it records the image, has all of it or nothing',
        async (when) => {
          class DyingDisk extends FakeDisk {
            left: { root: string; disk: FakeDisk } | undefined;
            override async write(batch: readonly Write[]): Promise<void> {
              if (when === 'before') this.left ??= await kill(root, this);
              await super.write(batch);
              if (when === 'after') this.left ??= await kill(root, this);
            }
          }
          const root = path.join(top, 'killed');
          const disk = new DyingDisk();
          const images = await open(root, disk);
          publish(['a', 'b']);
          const { id } = await images.pull(ctx, { reference: app });
          if (when === 'before') {
            await startsClean(disk.left!);
            return;
          }
          const next = await open(disk.left!.root, disk.left!.disk);
          await next.keepLeases(ctx, new Map());
          expect(next.find(app)?.id).toBe(id);
          expect(await next.strays(ctx)).toEqual([]);
          expect((await next.lease(ctx, id, 'c1')).lowers).toHaveLength(2);
        },
      );
    });
  });
}

/** Until the layers of the one pull under way are there. */
async function untilState(images: LocalImageStore, layers: readonly number[], state: string): Promise<void> {
  for (;;) {
    const [pull] = images.pulls();
    if (layers.every((layer) => pull?.layers[layer]?.state === state)) return;
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
