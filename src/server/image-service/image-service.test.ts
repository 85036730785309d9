import { beforeEach, describe, expect, test } from '@jest/globals';
import { BerthError } from '#base/errors';
import type { PullRequest } from '#images/image-store';
import { startTestServer } from '../cri-server.fixture.ts';
import { anImage, imageStoreOf } from '../images.fixture.ts';

const busybox = anImage(
  1,
  { user: '1000:100' },
  { repoTags: ['localhost/busybox:1'], repoDigests: ['localhost/busybox@sha256:aa'], pinned: true },
);
const images = imageStoreOf([busybox, anImage(2), anImage(3, { user: 'nobody:nogroup' })]);
const ref = (image: string): { image: { image: string } } => ({ image: { image } });

describe('ListImages', () => {
  test('all, or the one a filter names', async () => {
    await using server = await startTestServer({ images });
    const all = await server.client.images.listImages({});
    expect(all.images.map(({ id }) => id)).toEqual(images.list().map(({ id }) => id));
    const filter = ref('localhost/busybox:1');
    expect((await server.client.images.listImages({ filter })).images).toHaveLength(1);
    expect((await server.client.images.listImages({ filter: ref('other') })).images).toEqual([]);
  });
});

describe('ImageStatus', () => {
  test('tags, digests, size and user', async () => {
    await using server = await startTestServer({ images });
    const { image, info } = await server.client.images.imageStatus(ref(busybox.id));
    expect(image).toEqual({
      id: busybox.id,
      repo_tags: ['localhost/busybox:1'],
      repo_digests: ['localhost/busybox@sha256:aa'],
      size: '1001',
      uid: { value: '1000' },
      username: '',
      spec: null,
      pinned: true,
    });
    expect(info).toEqual({});
  });

  test('a user by name, and none at all', async () => {
    await using server = await startTestServer({ images });
    const named = await server.client.images.imageStatus(ref(anImage(3).id));
    expect(named.image).toMatchObject({ uid: null, username: 'nobody' });
    const none = await server.client.images.imageStatus(ref(anImage(2).id));
    expect(none.image).toMatchObject({ uid: { value: '0' }, username: '' });
  });

  test('verbose has the image config', async () => {
    await using server = await startTestServer({ images });
    const { info } = await server.client.images.imageStatus({ ...ref(busybox.id), verbose: true });
    expect(JSON.parse(info['info'] ?? '')).toMatchObject({
      loadedAt: '2023-11-14T22:13:20.123Z',
      chainID: 'sha256:cc',
      imageSpec: { os: 'linux', config: { User: '1000:100' } },
    });
  });

  test('an image that is not there is no error; no name is one', async () => {
    await using server = await startTestServer({ images });
    expect((await server.client.images.imageStatus(ref('other'))).image).toBeNull();
    await expect(server.client.images.imageStatus({})).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });
});

test('RemoveImage removes', async () => {
  await using server = await startTestServer({ images: imageStoreOf([busybox]) });
  await server.client.images.removeImage(ref('localhost/busybox:1'));
  expect((await server.client.images.listImages({})).images).toEqual([]);
});

describe('PullImage', () => {
  const asked: PullRequest[] = [];
  const pulling = imageStoreOf([busybox], {
    pull: async (_ctx, request) => {
      asked.push(request);
      if (request.reference.includes('secret'))
        throw new BerthError('UNAUTHENTICATED', 'registry.test wants a password');
      return busybox;
    },
  });
  beforeEach(() => void asked.splice(0));

  test('asks the registry also for what is here, and answers the id of the image', async () => {
    await using server = await startTestServer({ images: pulling });
    expect(await server.client.images.pullImage(ref('localhost/busybox:1'))).toEqual({ image_ref: busybox.id });
    await server.client.images.pullImage({ ...ref('localhost/busybox:1'), auth: { username: '' } });
    expect(asked).toEqual([{ reference: 'localhost/busybox:1' }, { reference: 'localhost/busybox:1' }]);
  });

  test('hands over every field of the credentials, and logs none', async () => {
    await using server = await startTestServer({ images: pulling });
    const auth = {
      ...{ username: 'me', password: 'pass-word', auth: 'bWU6cGFzcw==', server_address: 'registry.test' },
      ...{ identity_token: 'identity-token', registry_token: 'registry-token' },
    };
    await expect(server.client.images.pullImage({ ...ref('registry.test/secret:1'), auth })).rejects.toMatchObject({
      status: 'UNAUTHENTICATED',
    });
    expect(asked[0]?.credentials).toEqual({
      ...{ username: 'me', password: 'pass-word', auth: 'bWU6cGFzcw==', serverAddress: 'registry.test' },
      ...{ identityToken: 'identity-token', registryToken: 'registry-token' },
    });
    expect(server.lines.length).toBeGreaterThan(0);
    expect(
      JSON.stringify(server.lines, (_key, value: unknown) => (value instanceof Error ? String(value) : value)),
    ).not.toMatch(/pass-word|bWU6|-token/);
  });

  test('refuses no name and a runtime handler that is not there', async () => {
    await using server = await startTestServer({ images: pulling });
    for (const image of [{ image: '' }, { image: 'localhost/busybox:1', runtime_handler: 'runsc' }]) {
      await expect(server.client.images.pullImage({ image })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    }
    await server.client.images.pullImage({ image: { image: 'localhost/busybox:1', runtime_handler: 'berth' } });
    expect(asked).toHaveLength(1);
  });

  test('ends with its caller', async () => {
    const ended = Promise.withResolvers<unknown>();
    const hanging = imageStoreOf([], {
      pull: (ctx) =>
        new Promise((_resolve, reject) => {
          ctx.signal.addEventListener('abort', () => {
            ended.resolve(ctx.signal.reason);
            reject(ctx.signal.reason as Error);
          });
        }),
    });
    await using server = await startTestServer({ images: hanging });
    const pull = server.client.images.pullImage(ref('registry.test/slow:1'), { timeoutMs: 300 });
    await expect(pull).rejects.toMatchObject({ status: 'DEADLINE_EXCEEDED' });
    expect(await ended.promise).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });
});

test('ImageFsInfo names one file system for images and containers, with the bytes of each', async () => {
  await using server = await startTestServer({ images });
  const info = await server.client.images.imageFsInfo({});
  const [row] = info.image_filesystems;
  expect(row).toMatchObject({
    fs_id: { mountpoint: '/var/lib/berth' },
    used_bytes: { value: '9007199254740991' },
    inodes_used: { value: '12' },
  });
  expect(BigInt(row?.timestamp ?? 0)).toBeGreaterThan(1_700_000_000_000_000_000n);
  expect(info.container_filesystems).toEqual([
    { ...row, timestamp: expect.anything(), used_bytes: { value: '1152921504606846976' }, inodes_used: { value: '5' } },
  ]);
});
