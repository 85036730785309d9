import { expect } from '@jest/globals';
import { digestOf, parseConfig } from '#images/config';
import type { Image } from '#images/image-store';
import { containerWords } from '#sandbox/container-spec';
import { containerConfig, podConfig } from '#sandbox/cri-config.fixture';
import { podFilesIn } from '#sandbox/pod-files';
import { chooseStopSignal } from '#sandbox/stop-signal';
import type { Document, ImageUnderTest } from './image-under-test.fixture.ts';

type ImageFieldTest = (images: ImageUnderTest) => Promise<void>;

/** What a container of an image that says nothing else would be. */
async function containerOf({ config: bytes }: { readonly config: Uint8Array }) {
  const { config } = parseConfig(bytes, digestOf(bytes));
  const image: Image = {
    ...{ id: digestOf(bytes), repoTags: [], repoDigests: [], size: 1, pinned: false, createdAtNs: 1n },
    config,
  };
  const { input } = await containerWords({
    ...{ podId: 'p', id: 'c', pod: podConfig(), config: containerConfig({ command: [], args: [] }), image },
    accounts: { passwd: async () => '', group: async () => '' },
    warn: () => undefined,
    layers: { directory: '/layers', lowers: ['1'] },
    ...{ directory: '/containers/c', podFiles: podFilesIn('/pods/p'), nodeHostname: 'node' },
    ...{ defaultCgroupParent: '/berth', setupTimeoutMs: 1000 },
    kernel: { apparmor: false, selinux: false, seccomp: true },
  });
  return { ...input, labels: config.labels, stopSignal: chooseStopSignal('SIGNAL_RUNTIME_DEFAULT', config.stopSignal) };
}

const amd64 = (more: Document = {}): Document => ({ platform: { os: 'linux', architecture: 'amd64', ...more } });

/** By the names that rows say. Each passes, and fails where a field of its rows is taken away. */
export const imageFieldTests: Readonly<Record<string, ImageFieldTest>> = {
  'what a container of the image is': async (images) => {
    const config = {
      ...{ User: '7:8', Env: ['A=1'], Entrypoint: ['/init'], Cmd: ['run'], WorkingDir: 'srv' },
      ...{ Volumes: { '/data': {} }, StopSignal: 'SIGINT', Labels: { a: '1' } },
    };
    const container = await containerOf(await images.pull(images.image({ config: { config } })));
    expect(container).toMatchObject({
      ...{ args: ['/init', 'run'], cwd: '/srv', user: { uid: 7, gid: 8 }, stopSignal: 2, labels: { a: '1' } },
      rootfs: { volumes: ['/data'] },
    });
    expect(container.env).toContain('A=1');
  },

  'the layers of an image': async (images) => {
    const image = await images.pull(images.image());
    const { diffIds } = parseConfig(image.config, '');
    expect(image.layers).toHaveLength(1);
    expect(diffIds).toEqual([digestOf(Buffer.from('layer'))]);
  },

  'a layer with urls': async (images) => {
    const bytes = Buffer.from('layer');
    const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(bytes), size: bytes.length };
    const image = images.image({ layers: [{ ...layer, urls: ['https://elsewhere.test/x'] }] });
    expect((await images.pull(image)).layers).toMatchObject([{ ...layer, hasUrls: true }]);
  },

  'an image without layers': async (images) => {
    expect((await images.pull(images.image({ layers: [] }))).layers).toEqual([]);
  },

  'which image of an index is taken': async (images) => {
    const other = images.image({ mark: 'other' });
    const wanted = { ...images.image({ mark: 'wanted' }), ...amd64({ variant: 'v3' }) };
    const sameBut = (platform: Document): Document => ({ ...other, ...amd64({ variant: 'v3', ...platform }) });
    const choices: readonly (readonly Document[])[] = [
      [{ ...sameBut({}), mediaType: 'application/x-mine' }, wanted],
      [sameBut({ os: 'windows' }), wanted],
      [sameBut({ architecture: 'arm64' }), wanted],
      [sameBut({ variant: 'v4' }), wanted],
      [{ ...other, ...amd64() }, wanted],
      [sameBut({ 'os.features': ['x'] }), wanted],
    ];
    for (const manifests of choices) expect(await images.markOf(images.index(manifests))).toBe('wanted');
  },

  'an image whose entry names no platform': async (images) => {
    const unnamed = (mark: string, config: Document): Document => images.image({ mark, config });
    const wanted = unnamed('wanted', { variant: 'v3' });
    for (const config of [{ architecture: 'arm64' }, { variant: 'v9' }, { 'os.features': ['x'] }]) {
      expect(await images.markOf(images.index([unnamed('other', config), wanted]))).toBe('wanted');
    }
  },
};
