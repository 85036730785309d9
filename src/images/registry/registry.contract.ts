import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { Addon } from '#linux/addon';
import type { Fd } from '#linux/fd';
import { loadAddon } from '#linux/load';
import { ownPipe } from '#linux/own-fd';
import { digestOf } from '../config.ts';
import { hostPlatform } from '../platform.ts';
import { parseReference } from '../reference.ts';
import type { BuiltImage, FakeRemoteImage } from './registry.fake.ts';
import type { Registry, RemoteImage } from './registry.ts';

export interface RegistryBench {
  readonly registry: Registry;
  /** "host:port" for the names of images. */
  readonly domain: string;
  add(image: FakeRemoteImage): BuiltImage;
  cleanUp(): Promise<void>;
}

const ctx = createCtx();
const platform = hostPlatform();

/** Every Registry, the fake included, passes this. */
export function registryContract(name: string, makeBench: () => Promise<RegistryBench>): void {
  describe(`registry contract: ${name}`, () => {
    const addon = loadAddon();
    let bench: RegistryBench;
    beforeEach(async () => {
      bench = await makeBench();
    });
    afterEach(() => bench.cleanUp());

    const layer = randomBytes(3 * 1024 * 1024 + 17);
    const small = Buffer.from('small layer');
    const addApp = (more: Partial<FakeRemoteImage> = {}): BuiltImage =>
      bench.add({ names: [`${bench.domain}/team/app:1`], layers: [small, layer], config: { Env: ['A=b'] }, ...more });
    const resolve = (text: string): Promise<RemoteImage> =>
      bench.registry.resolve(ctx, { reference: parseReference(`${bench.domain}/${text}`), platform });

    it('walks from a tag to config and layers', async () => {
      const built = addApp();
      const image = await resolve('team/app:1');
      expect(image.manifestDigest).toBe(built.manifestDigest);
      expect(image.manifests.map((bytes) => digestOf(bytes))).toEqual([built.manifestDigest]);
      expect(digestOf(image.config)).toBe(built.id);
      expect(image.layers).toEqual(built.layers);
    });

    it('gives index and manifest, and the digest of the index', async () => {
      const built = addApp({ index: true });
      const image = await resolve('team/app:1');
      expect(image.manifests.map((bytes) => Buffer.from(bytes))).toEqual(built.manifests);
      expect(image.manifestDigest).toBe(digestOf(built.manifests[0]!));
      expect(image.layers).toEqual(built.layers);
    });

    it('finds an image by its digest, with or without a tag beside it', async () => {
      const built = addApp();
      expect((await resolve(`team/app@${built.manifestDigest}`)).manifestDigest).toBe(built.manifestDigest);
      expect((await resolve(`team/app:9@${built.manifestDigest}`)).manifestDigest).toBe(built.manifestDigest);
    });

    it('says that a name is not there', async () => {
      addApp();
      for (const wrong of ['team/app:2', 'team/other:1', `team/app@sha256:${'0'.repeat(64)}`]) {
        await expect(resolve(wrong)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      }
    });

    it('says that there is no image for this platform', async () => {
      addApp({ index: true, platform: { os: 'plan9', architecture: 'mips' } });
      await expect(resolve('team/app:1')).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining(`${platform.os}/${platform.architecture}`),
      });
    });

    it('writes a blob into the pipe, tells the progress and closes the pipe', async () => {
      const built = addApp();
      const image = await resolve('team/app:1');
      for (const [index, bytes] of [small, layer].entries()) {
        const { read, write } = ownPipe(addon);
        let told = 0;
        const all = readAll(read);
        await bench.registry.fetchBlob(ctx, image, built.layers[index]!, write, (count) => (told += count));
        expect(digestOf(await all)).toBe(digestOf(bytes));
        expect(told).toBe(bytes.length);
        expect(write.open).toBe(false);
      }
    });

    it('fetches several blobs at once', async () => {
      const built = addApp();
      const image = await resolve('team/app:1');
      const blobs = Array.from({ length: 8 }, (_, index) => built.layers[index % 2]!);
      const digests = await Promise.all(blobs.map((blob) => fetch(addon, bench.registry, image, blob)));
      expect(digests).toEqual(blobs.map((blob) => blob.digest));
    });

    it('waits for a slow reader, and ends with the reason of the abort', async () => {
      const built = addApp();
      const image = await resolve('team/app:1');
      const { read, write } = ownPipe(addon);
      const stop = new AbortController();
      const reason = new BerthError('CANCELLED', 'no longer wanted');
      let moved: () => void = () => undefined;
      const moving = new Promise<void>((done) => {
        moved = done;
      });
      // Nobody reads: the pipe is full long before the blob's end.
      const fetching = bench.registry.fetchBlob(ctx.detach(stop.signal), image, built.layers[1]!, write, () => moved());
      await moving;
      stop.abort(reason);
      await expect(fetching).rejects.toBe(reason);
      expect(write.open).toBe(false);
      // The reader comes to an end: nobody holds the other side.
      expect((await readAll(read)).length).toBeLessThan(layer.length);
    });

    it('does nothing for a context that has ended, but closes the pipe', async () => {
      const built = addApp();
      const image = await resolve('team/app:1');
      const stop = new AbortController();
      const reason = new BerthError('DEADLINE_EXCEEDED', 'too late');
      stop.abort(reason);
      const { read, write } = ownPipe(addon);
      const late = ctx.detach(stop.signal);
      await expect(bench.registry.fetchBlob(late, image, built.layers[1]!, write)).rejects.toBe(reason);
      expect((await readAll(read)).length).toBe(0);
      const reference = parseReference(`${bench.domain}/team/app:1`);
      await expect(bench.registry.resolve(late, { reference, platform })).rejects.toBe(reason);
    });

    it('ends when the reader goes away', async () => {
      const built = addApp();
      const image = await resolve('team/app:1');
      const { read, write } = ownPipe(addon);
      read[Symbol.dispose]();
      await expect(bench.registry.fetchBlob(ctx, image, built.layers[1]!, write)).rejects.toMatchObject({
        code: 'CANCELLED',
      });
      expect(write.open).toBe(false);
    });

    it('says that a blob is not there, and closes the pipe', async () => {
      addApp();
      const image = await resolve('team/app:1');
      const { read, write } = ownPipe(addon);
      const missing = { digest: `sha256:${'1'.repeat(64)}`, size: 5, mediaType: '' };
      await expect(bench.registry.fetchBlob(ctx, image, missing, write)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      expect((await readAll(read)).length).toBe(0);
    });
  });
}

async function fetch(addon: Addon, registry: Registry, image: RemoteImage, blob: { digest: string }): Promise<string> {
  const { read, write } = ownPipe(addon);
  const all = readAll(read);
  await registry.fetchBlob(
    ctx,
    image,
    image.layers.find(({ digest }) => digest === blob.digest)!,
    write,
  );
  return digestOf(await all);
}

/** To the end of the pipe, which comes when its last writer has closed it. */
export async function readAll(read: Fd): Promise<Buffer> {
  const socket = new Socket({ fd: read.take(), readable: true, writable: false });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'close');
  return Buffer.concat(chunks);
}
