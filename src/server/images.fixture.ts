import { BerthError } from '#base/errors';
import type { Image, ImageConfig, ImageStore } from '#images/image-store';

export function anImage(number: number, config: Partial<ImageConfig> = {}, other: Partial<Image> = {}): Image {
  return {
    id: `sha256:${number.toString(16).padStart(64, '0')}`,
    repoTags: [`localhost/image:${number}`],
    repoDigests: [],
    size: 1000 + number,
    pinned: false,
    createdAtNs: 1_700_000_000_123_456_789n,
    ...other,
    config: {
      user: '',
      env: ['PATH=/bin'],
      entrypoint: [],
      cmd: ['sh'],
      workingDir: '/',
      volumes: ['/data'],
      labels: { a: 'b' },
      stopSignal: '',
      architecture: 'amd64',
      os: 'linux',
      ...config,
    },
  };
}

/** As much of an image store as the server's tests touch. */
export function imageStoreOf(images: readonly Image[], other: Partial<ImageStore> = {}): ImageStore {
  const removed: string[] = [];
  const left = (): readonly Image[] => images.filter(({ id }) => !removed.includes(id));
  const refuse = (): never => {
    throw new BerthError('INTERNAL', 'the fixture does not do this');
  };
  const find = (reference: string): Image | undefined =>
    left().find((image) => image.id === reference || image.repoTags.includes(reference));
  return {
    find,
    list: left,
    load: refuse,
    pull: async (_ctx, { reference }) => {
      const image = find(reference);
      if (image === undefined) throw new BerthError('NOT_FOUND', `${reference}: no such image in the registry`);
      return image;
    },
    pulls: () => [],
    inspect: async (_ctx, id) => ({
      chainId: 'sha256:cc',
      diffIds: ['sha256:dd'],
      configJson: JSON.stringify({ os: 'linux', config: { User: find(id)?.config.user } }),
    }),
    remove: async (_ctx, reference) => void removed.push(find(reference)?.id ?? ''),
    lease: refuse,
    release: refuse,
    holdLeases: refuse,
    keepLeases: refuse,
    accounts: refuse,
    usage: () => ({ mountpoint: '/var/lib/berth', bytes: 9_007_199_254_740_991, inodes: 12 }),
    strays: refuse,
    ...other,
  };
}
