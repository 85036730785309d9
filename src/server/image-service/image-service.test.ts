import { describe, expect, test } from '@jest/globals';
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
      imageSpec: { os: 'linux', config: { User: '1000:100', Cmd: ['sh'], Volumes: { '/data': {} } } },
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
  test('answers the id of an image that is loaded', async () => {
    await using server = await startTestServer({ images });
    expect(await server.client.images.pullImage(ref('localhost/busybox:1'))).toEqual({ image_ref: busybox.id });
  });

  test('is UNIMPLEMENTED for any other and says what to do', async () => {
    await using server = await startTestServer({ images });
    await expect(server.client.images.pullImage(ref('docker.io/library/redis:8'))).rejects.toMatchObject({
      status: 'UNIMPLEMENTED',
      details: expect.stringContaining('berth load'),
    });
  });
});

test('ImageFsInfo names one file system for images and containers', async () => {
  await using server = await startTestServer({ images });
  const info = await server.client.images.imageFsInfo({});
  const [row] = info.image_filesystems;
  expect(row).toMatchObject({
    fs_id: { mountpoint: '/var/lib/berth' },
    used_bytes: { value: '9007199254740991' },
    inodes_used: { value: '12' },
  });
  expect(BigInt(row?.timestamp ?? 0)).toBeGreaterThan(1_700_000_000_000_000_000n);
  expect(info.container_filesystems).toEqual(info.image_filesystems);
});
