import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
// eslint-disable-next-line no-restricted-imports -- tests may start processes
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createCtx } from '#base/ctx';
import type { Store } from '#store/collection';
import { FakeDisk, FakeStore } from '#store/store.fake';
import { maxAccountBytes } from './accounts.ts';
import type { ArchiveFormat, TestImage } from './archive/build-archive.fake.ts';
import { archiveFiles, buildArchive, directory, tarOf, textFile } from './archive/build-archive.fake.ts';
import type { RootfsLayers } from './image-store.ts';
import type { ContractImage } from './image-store.contract.ts';
import { imageStoreContract } from './image-store.contract.ts';
import { LocalImageStore } from './local-image-store.ts';
import { testNatives } from './natives.fake.ts';
import { FakeRegistry } from './registry/registry.fake.ts';

const ctx = createCtx();
const natives = testNatives();

function toTestImage(image: ContractImage): TestImage {
  const { user = '', env = [], cmd = [], labels = {} } = image.config ?? {};
  return {
    names: image.names,
    config: { User: user, Env: env, Cmd: cmd, Labels: labels },
    layers: [
      [
        directory('etc'),
        ...(image.passwd === undefined ? [] : [textFile('etc/passwd', image.passwd)]),
        ...(image.group === undefined ? [] : [textFile('etc/group', image.group)]),
      ],
      [textFile('content', image.content)],
    ],
  };
}

if ('missing' in natives) {
  it(`SKIPPED: ${natives.missing}`, () => {
    console.warn(`the image store is not tested against a disk: ${natives.missing}`);
  });
} else {
  const open = (root: string, store: Store): Promise<LocalImageStore> =>
    LocalImageStore.open(ctx, { ...natives, root, store, registry: new FakeRegistry() });

  imageStoreContract('local', async () => {
    const root = await mkdtemp(path.join(tmpdir(), 'berth-images-'));
    const registry = new FakeRegistry();
    let count = 0;
    return {
      registry,
      store: await LocalImageStore.open(ctx, {
        ...natives,
        ...{ registry, root: path.join(root, 'images'), store: new FakeStore() },
      }),
      archive: async (images) => {
        const file = path.join(root, `${count++}.tar`);
        await writeFile(file, buildArchive(images.map(toTestImage), { kind: 'docker' }));
        return file;
      },
      cleanUp: () => rm(root, { recursive: true }),
    };
  });

  describe('local image store', () => {
    let top: string;
    let count = 0;
    const fresh = (): string => path.join(top, `root${count++}`);
    beforeAll(async () => {
      top = await mkdtemp(path.join(tmpdir(), 'berth-images-'));
    });
    afterAll(() => rm(top, { recursive: true }));

    const archive = async (images: readonly TestImage[], format: ArchiveFormat = { kind: 'oci' }): Promise<string> => {
      const file = path.join(top, `archive${count++}`);
      await writeFile(file, buildArchive(images, format));
      return file;
    };
    const image = (...layers: TestImage['layers']): TestImage => ({ names: ['localhost/t:1'], layers });
    const loadOne = async (images: LocalImageStore, path: string): Promise<RootfsLayers & { id: string }> => {
      const [loaded] = await images.load(ctx, { path });
      return { id: loaded!.id, ...(await images.lease(ctx, loaded!.id, `lease${count++}`)) };
    };
    const inLayer = (rootfs: RootfsLayers, layer: number, name: string): string =>
      path.join(rootfs.directory, rootfs.lowers[layer]!, name);

    it('counts fields that nobody knows, of what is pulled and of what is loaded', async () => {
      const counted: object[] = [];
      const registry = new FakeRegistry();
      await using images = await LocalImageStore.open(ctx, {
        ...{ ...natives, root: fresh(), store: new FakeStore(), registry },
        countUnknownFields: (fields) => counted.push(fields),
      });
      const names = ['registry.test/new:1'];
      registry.add({ names, layers: [], manifest: { new: 1 }, document: { new: 1, alsoNew: 2 }, index: true });
      await images.pull(ctx, { reference: 'registry.test/new:1' });
      expect(counted).toEqual([{ config: 2, manifest: 1, index: 0 }]);
      const known = { config: 0, manifest: 0, index: 0 };
      for (const kind of ['oci', 'docker'] as const) {
        await images.load(ctx, { path: await archive([image()], { kind }) });
        expect(counted.pop()).toEqual(known);
        const file = await archive([{ ...image(), config: { NetworkMode: 'x' } }], { kind });
        await images.load(ctx, { path: file });
        expect(counted.pop()).toEqual({ ...known, config: 1 });
      }
      const layout = fresh();
      const two = ['1', '2'].map((text) => ({ ...image([textFile('a', text)]), names: [`localhost/t:${text}`] }));
      for (const [name, bytes] of archiveFiles(two, { kind: 'oci' })) {
        const index = name === 'index.json' && { new: 1, ...(JSON.parse(Buffer.from(bytes).toString()) as object) };
        await mkdir(path.dirname(path.join(layout, name)), { recursive: true });
        await writeFile(path.join(layout, name), index ? JSON.stringify(index) : bytes);
      }
      await images.load(ctx, { path: layout });
      // The index is one, whatever the number of its images.
      expect(counted).toEqual([{ config: 2, manifest: 1, index: 0 }, { ...known, index: 1 }, known]);
    });

    it.each<ArchiveFormat>([
      { kind: 'oci' },
      { kind: 'oci', layers: 'gzip' },
      { kind: 'oci', layers: 'zstd', outer: 'gzip' },
      { kind: 'docker', layers: 'plain', outer: 'zstd' },
      { kind: 'docker', layers: 'gzip' },
    ])('loads %j', async (format) => {
      await using images = await open(fresh(), new FakeStore());
      const rootfs = await loadOne(
        images,
        await archive([image([textFile('a', 'bottom')], [textFile('b', 'top')])], format),
      );
      expect(rootfs.lowers).toHaveLength(2);
      expect(await readFile(inLayer(rootfs, 0, 'b'), 'utf8')).toBe('top');
      expect(await readFile(inLayer(rootfs, 1, 'a'), 'utf8')).toBe('bottom');
      expect(await images.strays(ctx)).toEqual([]);
      const digests = images.list()[0]!.repoDigests;
      expect(digests).toHaveLength(format.kind === 'oci' ? 1 : 0);
      for (const digest of digests) expect(images.find(digest)?.id).toBe(rootfs.id);
    });

    it('loads an image layout that is a directory', async () => {
      const layout = fresh();
      for (const [name, bytes] of archiveFiles([image([textFile('a', 'x')])], { kind: 'oci' })) {
        await mkdir(path.dirname(path.join(layout, name)), { recursive: true });
        await writeFile(path.join(layout, name), bytes);
      }
      await using images = await open(fresh(), new FakeStore());
      expect(await images.load(ctx, { path: layout })).toHaveLength(1);
    });

    it('unpacks a shared layer once, also when two load at once', async () => {
      const base = [textFile('base', 'x'.repeat(100_000))];
      await using images = await open(fresh(), new FakeStore());
      const one = await archive([{ names: ['localhost/one:1'], layers: [base, [textFile('1', '1')]] }]);
      const two = await archive([{ names: ['localhost/two:1'], layers: [base, [textFile('2', '2')]] }]);
      const [a, b] = await Promise.all([loadOne(images, one), loadOne(images, two)]);
      expect(a.lowers[1]).toBe(b.lowers[1]);
      expect((await readdir(a.directory)).filter((name) => name !== '_')).toHaveLength(3);
      await images.keepLeases(ctx, new Map());
      await images.remove(ctx, 'localhost/one:1');
      expect(existsSync(inLayer(b, 1, 'base'))).toBe(true);
      await images.remove(ctx, 'localhost/two:1');
      expect(await readdir(a.directory)).toEqual(['_']);
    });

    it('is the same after a restart', async () => {
      const root = fresh();
      const disk = new FakeDisk();
      const path1 = await archive([image([textFile('a', 'x')])]);
      let before: unknown;
      {
        await using images = await open(root, new FakeStore({ disk }));
        await loadOne(images, path1);
        before = [images.list(), images.usage()];
      }
      await using images = await open(root, new FakeStore({ disk }));
      expect([images.list(), images.usage()]).toEqual(before);
      expect(await images.strays(ctx)).toEqual([]);
    });

    it('clears what a killed berthd left, and moves aside rows whose layer is gone', async () => {
      const root = fresh();
      const disk = new FakeDisk();
      {
        await using images = await open(root, new FakeStore({ disk }));
        const kept = { names: ['localhost/kept:1'], layers: [[textFile('k', 'k')]] };
        const lost = { names: ['localhost/lost:1'], layers: [[textFile('l', 'l')]] };
        await images.load(ctx, { path: await archive([kept]) });
        const rootfs = await loadOne(images, await archive([lost]));
        await images.keepLeases(ctx, new Map());
        await rm(path.join(rootfs.directory, rootfs.lowers[0]!), { recursive: true });
      }
      await mkdir(path.join(root, 'layers/zz/deep'), { recursive: true });
      await mkdir(path.join(root, 'tmp/layer-old-1/deep'), { recursive: true });
      await writeFile(path.join(root, 'blobs/sha256', 'a'.repeat(64)), 'orphan');
      const store = new FakeStore({ disk });
      await using images = await open(root, store);
      expect(await readdir(path.join(root, 'layers'))).toContain('zz');
      await images.keepLeases(ctx, new Map());
      expect(images.list().map((one) => one.repoTags)).toEqual([['localhost/kept:1']]);
      expect(store.quarantined.map((record) => record.key.split('/')[0]).sort()).toEqual(['image', 'layer']);
      expect(await images.strays(ctx)).toEqual([]);
      expect(await readdir(path.join(root, 'tmp'))).toEqual([]);
      expect(await readdir(path.join(root, 'layers'))).not.toContain('zz');
      // A name that was used is not given again while its directory may still be there.
      await images.load(ctx, { path: await archive([image([textFile('n', 'n')])]) });
      expect(images.list()).toHaveLength(2);
    });

    it('gives a directory that a layer only implies the mode and owner it has below', async () => {
      const below = [directory('srv'), { ...directory('srv/private', 0o710), uid: 7, gid: 8, mtime: 1000 }];
      const above = [textFile('srv/private/file', 'x'), textFile('new/file', 'y')];
      await using images = await open(fresh(), new FakeStore());
      const rootfs = await loadOne(images, await archive([image(below, above)]));
      const status = await stat(inLayer(rootfs, 0, 'srv/private'));
      expect([status.mode & 0o7777, status.uid, status.gid, status.mtimeMs]).toEqual([0o710, 7, 8, 1_000_000]);
      expect((await stat(inLayer(rootfs, 0, 'new'))).mode & 0o7777).toBe(0o755);
      // The same layer elsewhere is another layer.
      const other = await loadOne(images, await archive([{ names: ['localhost/u:1'], layers: [above] }]));
      expect(other.lowers[0]).not.toBe(rootfs.lowers[0]);
      expect((await stat(inLayer(other, 0, 'srv/private'))).mode & 0o7777).toBe(0o755);
    });

    it('leaves out what an opaque root hides and a layer that comes again further up', async () => {
      const a = [textFile('a', 'a')];
      const b = [textFile('b', 'b')];
      await using images = await open(fresh(), new FakeStore());
      expect((await loadOne(images, await archive([image(a, b, a)]))).lowers).toHaveLength(2);
      const opaque = [textFile('.wh..wh..opq', ''), textFile('c', 'c')];
      expect((await loadOne(images, await archive([image(a, opaque, b)]))).lowers).toHaveLength(2);
      expect((await loadOne(images, await archive([image()]))).lowers).toEqual(['_']);
    });

    it('finds accounts through whiteouts, opaque directories and symlinks', async () => {
      await using images = await open(fresh(), new FakeStore());
      const accounts = async (...layers: TestImage['layers']): Promise<string> => {
        const rootfs = await loadOne(images, await archive([image(...layers)]));
        return await (await images.accounts(ctx, rootfs.id)).passwd();
      };
      const base = [directory('etc'), textFile('etc/passwd', 'base')];
      expect(await accounts(base, [textFile('x', '')])).toBe('base');
      expect(await accounts(base, [directory('etc'), textFile('etc/passwd', 'upper')])).toBe('upper');
      expect(await accounts(base, [directory('etc'), textFile('etc/.wh.passwd', '')])).toBe('');
      expect(await accounts(base, [directory('etc'), textFile('etc/.wh..wh..opq', '')])).toBe('');
      expect(await accounts(base, [textFile('.wh.etc', '')])).toBe('');
      expect(
        await accounts(
          [directory('usr'), directory('usr/etc'), textFile('usr/etc/passwd', 'moved')],
          [{ name: 'etc', type: '2', mode: 0o777, target: '/usr/etc' }],
        ),
      ).toBe('moved');
      expect(
        await accounts([
          directory('etc'),
          { name: 'etc/passwd', type: '2', mode: 0o777, target: '/proc/self/environ' },
        ]),
      ).toBe('');
      const host = [
        directory('etc'),
        { name: 'etc/passwd', type: '2', mode: 0o777, target: '../../../../../../etc/passwd' } as const,
      ];
      expect(await accounts(host)).toBe('');
    });

    it('reads accounts of ten thousands of lines, and only what is asked for of those that are larger', async () => {
      await using images = await open(fresh(), new FakeStore());
      const large = 'x'.repeat(11 * 1024 * 1024);
      const files = (passwd: string, group: string): TestImage['layers'][number] => [
        ...[directory('etc'), textFile('etc/passwd', passwd), textFile('etc/group', group)],
      ];
      const { id } = await loadOne(images, await archive([image(files(large, 'x'.repeat(maxAccountBytes + 1)))]));
      const accounts = await images.accounts(ctx, id);
      expect((await accounts.passwd()).length).toBe(large.length);
      await expect(accounts.group()).rejects.toMatchObject({
        code: 'IMAGE_INVALID',
        message: expect.stringMatching(/^\/etc\/group of image sha256:\w+ is larger than 16777216 bytes/) as unknown,
      });
    });

    it.each<[string, () => Promise<string>, RegExp]>([
      [
        'a layer that is not what the config says',
        () =>
          archive([
            { ...image([textFile('a', '')]), document: { rootfs: { diff_ids: [`sha256:${'0'.repeat(64)}`] } } },
          ]),
        /uncompressed layer is sha256/,
      ],
      [
        'a layer too few',
        () => archive([{ ...image([textFile('a', '')]), document: { rootfs: { diff_ids: [] } } }]),
        /has 1 layers, its config 0/,
      ],
      ['a config that is no object', () => archive([{ ...image(), document: { config: 'sh' } }]), /is not an object/],
      [
        'an Env that is no list',
        () => archive([{ ...image(), config: { Env: 'A=b' } }]),
        /Env of config of image config/,
      ],
      [
        'a layer that cannot be unpacked',
        () => archive([image([textFile('a/.wh.', 'x')])]),
        /at "a\/\.wh\.".*whiteout/,
      ],
      [
        'something else',
        async () => {
          const file = path.join(top, `junk${count++}`);
          await writeFile(file, 'hello'.repeat(1000));
          return file;
        },
        /is not a tar/,
      ],
      [
        'a corrupt gzip',
        async () => {
          const file = path.join(top, `junk${count++}`);
          await writeFile(file, Buffer.from('1f8b0800000000000000ff', 'hex'));
          return file;
        },
        /corrupt gzip/,
      ],
      [
        'a tar without an image',
        async () => {
          const file = path.join(top, `junk${count++}`);
          await writeFile(file, tarOf([textFile('a', '')]));
          return file;
        },
        /neither an OCI image layout/,
      ],
    ])('refuses %s and keeps nothing of it', async (_what, make, message) => {
      const root = fresh();
      await using images = await open(root, new FakeStore());
      const error: unknown = await images.load(ctx, { path: await make() }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'IMAGE_INVALID', message: expect.stringMatching(message) });
      expect(images.list()).toEqual([]);
      expect(images.usage()).toMatchObject({ bytes: 0, inodes: 0 });
      expect(await images.strays(ctx)).toEqual([]);
      expect(await readdir(path.join(root, 'tmp'))).toEqual([]);
    });

    it('takes nothing of an archive whose second image is bad', async () => {
      await using images = await open(fresh(), new FakeStore());
      const bad: TestImage = { names: ['localhost/bad:1'], layers: [[textFile('.wh.', '')]] };
      const path1 = await archive([image([textFile('good', 'x')]), bad]);
      await expect(images.load(ctx, { path: path1 })).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
      expect(images.list()).toEqual([]);
      expect(await images.strays(ctx)).toEqual([]);
    });

    it('says RESOURCE_EXHAUSTED on a full disk, and keeps nothing of the image', async () => {
      const mountpoint = await mkdtemp(path.join(top, 'full-'));
      expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', mountpoint]).status).toBe(0);
      try {
        await using images = await open(mountpoint, new FakeStore());
        const big = Array.from({ length: 12 }, (_, i) => textFile(`f${i}`, String(i).repeat(1 << 20)));
        const path1 = await archive([image([textFile('small', 'x')], big)], { kind: 'oci', layers: 'gzip' });
        await expect(images.load(ctx, { path: path1 })).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
        expect(images.list()).toEqual([]);
        expect(await images.strays(ctx)).toEqual([]);
        expect(await readdir(path.join(mountpoint, 'layers'))).toEqual(['_']);
        expect(await images.load(ctx, { path: await archive([image([textFile('small', 'x')])]) })).toHaveLength(1);
      } finally {
        spawnSync('umount', ['-l', mountpoint]);
      }
    });

    it('kills the unpacker of a load whose caller leaves', async () => {
      await using images = await open(fresh(), new FakeStore());
      const many = Array.from({ length: 3000 }, (_, i) => textFile(`f${i}`, 'x'.repeat(4096)));
      const controller = new AbortController();
      const path1 = await archive([image(many)], { kind: 'oci' });
      const onProgress = (): void => controller.abort(new Error('caller left'));
      const load = images.load(createCtx({ signal: controller.signal }), { path: path1, onProgress });
      await expect(load).rejects.toThrow('caller left');
      expect(images.list()).toEqual([]);
      expect(await images.strays(ctx)).toEqual([]);
    });

    it('says of an image whether it is pinned, by what the owner chose last', async () => {
      const registry = new FakeRegistry();
      const options = { ...natives, registry, root: fresh(), store: new FakeStore() };
      await using images = await LocalImageStore.open(ctx, { ...options, isPinned: (names) => names.includes('none') });
      const { id } = await loadOne(images, await archive([image([textFile('a', 'x')])]));
      expect(images.list().map(({ pinned }) => pinned)).toEqual([false]);
      images.pin((names) => names.includes('localhost/t:1'));
      expect([images.list()[0]?.pinned, images.find(id)?.pinned]).toEqual([true, true]);
      await images.keepLeases(ctx, new Map());
      await images.remove(ctx, id);
      expect(images.list()).toEqual([]);
    });

    it('keeps the layers of a container though every row of its image, its lease and its layers is lost', async () => {
      const root = fresh();
      const disk = new FakeDisk();
      let rootfs;
      {
        await using images = await open(root, new FakeStore({ disk }));
        const both = image([textFile('a', 'bottom')], [textFile('b', 'top')]);
        rootfs = await loadOne(images, await archive([both]));
        await images.load(ctx, {
          path: await archive([{ names: ['localhost/other:1'], layers: [[textFile('o', 'o')]] }]),
        });
      }
      // All of one layer, and the lease; of the other only what an image says about it.
      for (const [key, raw] of disk.content)
        if (/^(image|lease)/.test(key) || raw.includes(`"name":"${rootfs.lowers[0]!}"`)) disk.content.delete(key);
      const held = new Map([['c', { imageId: rootfs.id, lowers: rootfs.lowers }]]);
      for (const _restart of [1, 2]) {
        await using images = await open(root, new FakeStore({ disk }));
        await images.keepLeases(ctx, held);
        expect(await images.strays(ctx)).toEqual([]);
        expect((await readdir(rootfs.directory)).sort()).toEqual(['_', ...rootfs.lowers].sort());
        expect(await readFile(inLayer(rootfs, 0, 'b'), 'utf8')).toBe('top');
      }
      await using images = await open(root, new FakeStore({ disk }));
      await images.keepLeases(ctx, held);
      await images.release(ctx, 'c');
      expect(await readdir(rootfs.directory)).toEqual(['_']);
      expect(await images.strays(ctx)).toEqual([]);
      expect([...disk.content.keys()]).toEqual([]);
    });

    it('keeps whiteouts as devices and hard links as links', async () => {
      await using images = await open(fresh(), new FakeStore());
      const rootfs = await loadOne(
        images,
        await archive([
          image([textFile('a', 'x'), { name: 'b', type: '1', mode: 0o644, target: 'a' }, textFile('.wh.gone', '')]),
        ]),
      );
      expect((await lstat(inLayer(rootfs, 0, 'a'))).nlink).toBe(2);
      const gone = await lstat(inLayer(rootfs, 0, 'gone'));
      expect([gone.isCharacterDevice(), gone.rdev]).toEqual([true, 0]);
    });
  });
}
