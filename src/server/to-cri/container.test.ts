import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Image } from '#images/image-store';
import { FakeImageStore } from '#images/image-store.fake';
import type { ContainerView } from '#sandbox/pod';
import { toCriContainer, toCriContainerStatus } from './container.ts';
import { toCriEvent } from './event.ts';
import { toCriImage } from './image.ts';

const name = 'registry.test/team/app';
const digest = `${name}@sha256:${'d'.repeat(64)}`;
const content = 'the first';

let images: FakeImageStore;
let app: Image;

const add = (names: readonly string[], digests: readonly string[] = [digest], what = content): Image =>
  images.add({ names, content: what }, digests);

beforeEach(() => {
  images = new FakeImageStore();
  app = add([`${name}:1`]);
});

/** As a kubelet asks: by the image's id, with the user's word beside it. */
function container(image: object = { image: app.id, user_specified_image: `${name}:1` }): ContainerView {
  return {
    ...{ id: 'c', podId: 'p' },
    identity: { podId: 'p', config: { metadata: { name: 'c', attempt: 0 }, image } },
    made: {
      imageId: app.id,
      cgroupPath: '',
      logPath: '',
      user: { uid: 0, gid: 0, additionalGids: [] },
      stopSignal: 15,
    },
    status: { state: 'running', createdAtNs: 1n, startedAtNs: 2n, finishedAtNs: 0n, warnings: [] },
  } as unknown as ContainerView;
}

describe('what kubectl shows as image and imageID', () => {
  const told = (view = container()): object => {
    const { image, image_ref, image_id } = toCriContainerStatus(view, images);
    return { image, image_ref, image_id };
  };
  const asked = { image: '', user_specified_image: `${name}:1` };

  test('the tag and the repo digest, not the id twice', () => {
    expect(told()).toEqual({ image: { image: `${name}:1` }, image_ref: digest, image_id: app.id });
  });

  test('whatever word it was asked for by', () => {
    for (const image of [`${name}:1`, digest, app.id.slice(0, 20)]) {
      expect(told(container({ image }))).toEqual(told());
    }
  });

  test('of several names the first of the alphabet, in whatever order they came', () => {
    add(['registry.test/a/app:2', `${name}:0`], ['registry.test/a/app@sha256:aa']);
    expect(told()).toMatchObject({
      image: { image: 'registry.test/a/app:2' },
      image_ref: 'registry.test/a/app@sha256:aa',
    });
  });

  test('pulled by digest: as it was asked for', () => {
    images = new FakeImageStore();
    add([]);
    expect(told(container({ image: digest }))).toEqual({
      image: { image: digest },
      image_ref: digest,
      image_id: app.id,
    });
  });

  test('loaded from an archive: no registry has named it', () => {
    images = new FakeImageStore();
    add([`${name}:1`], []);
    expect(told()).toEqual({ image: { image: `${name}:1` }, image_ref: app.id, image_id: app.id });
  });

  test('its tag is another image’s now: still what it was made from', () => {
    add([`${name}:1`], [`${name}@sha256:${'e'.repeat(64)}`], 'the second');
    expect(told()).toEqual({ image: { ...asked, image: app.id }, image_ref: digest, image_id: app.id });
  });

  test('the image was removed: as it was asked for, and its id', async () => {
    await images.remove({} as never, app.id);
    expect(told()).toEqual({ image: { ...asked, image: app.id }, image_ref: app.id, image_id: app.id });
  });

  test('events say the same', () => {
    const event = toCriEvent(
      { id: 'c', type: 'started', createdAtNs: 1n, pod: undefined, containers: [container()] },
      images,
    );
    expect(event.containers_statuses).toEqual([toCriContainerStatus(container(), images)]);
  });
});

test('a list has the word it was asked for by, and ids only: a kubelet finds images in use by them', () => {
  expect(toCriContainer(container())).toMatchObject({
    image: { image: app.id, user_specified_image: `${name}:1` },
    image_ref: app.id,
    image_id: app.id,
  });
});

test('an image lists its names in order', () => {
  add([`${name}:0`], ['registry.test/a/app@sha256:aa']);
  const { repo_tags, repo_digests } = toCriImage(images.find(app.id) ?? app);
  expect(repo_tags).toEqual([`${name}:0`, `${name}:1`]);
  expect(repo_digests).toEqual(['registry.test/a/app@sha256:aa', digest]);
});
