import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { digestOf } from '../config.ts';
import { hostPlatform, type Platform } from '../platform.ts';
import { maxDocumentBytes } from '../untrusted.ts';
import { ClientBench } from './client-bench.fixture.ts';
import { RegistryDouble } from './registry-double.fixture.ts';
import { buildRemoteImage } from './registry.fake.ts';

const ociIndex = 'application/vnd.oci.image.index.v1+json';
const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json';
const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json';

type Fields = Record<string, unknown>;

let bench: ClientBench;
let double: RegistryDouble;
let name: string;
beforeEach(async () => {
  bench = await ClientBench.open();
  double = await RegistryDouble.start();
  bench.configure({ plainHttp: [double.host] });
  name = `${double.host}/team/app:1`;
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
  await double[Symbol.asyncDispose]();
});

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const built = buildRemoteImage({ names: [], layers: [Buffer.from('layer')] });
const manifest = JSON.parse(Buffer.from(built.manifests[0]!).toString()) as Fields;

/** Serves this document for the tag, and the usual config. */
function serve(document: unknown, type?: string): Buffer {
  const bytes = Buffer.isBuffer(document) ? document : json(document);
  double.blobs.set(built.id, built.config);
  double.addManifest('team/app', '1', bytes, type);
  double.addManifest('team/app', digestOf(bytes), bytes, type);
  return bytes;
}

/** An index entry for a document that is there. */
function entryOf(document: Fields, more: Fields = {}): Fields {
  const bytes = json(document);
  double.addManifest('team/app', digestOf(bytes), bytes);
  return { mediaType: document['mediaType'], digest: digestOf(bytes), size: bytes.length, ...more };
}

/** An image told apart by an annotation. */
const variantOf = (mark: string): Fields => ({ ...manifest, annotations: { mark } });

async function markFor(platform: Platform): Promise<unknown> {
  const image = await bench.resolve(name, undefined, platform);
  const last = JSON.parse(Buffer.from(image.manifests.at(-1)!).toString()) as { annotations?: Fields };
  return last.annotations?.['mark'];
}

it('does not fetch a config that is here, and fetches any other', async () => {
  serve(manifest);
  const asked = async (knownConfig: Uint8Array): Promise<string[]> => {
    const before = double.requests.length;
    const wanted = { platform: hostPlatform(), knownConfig };
    const image = await bench.client.resolve(bench.call, bench.session(name), wanted);
    expect(digestOf(image.config)).toBe(built.id);
    return double.requests.slice(before).map(({ url }) => url);
  };
  const [ofManifest, ofConfig] = ['/v2/team/app/manifests/1', `/v2/team/app/blobs/${built.id}`];
  expect(await asked(built.config)).toEqual([ofManifest]);
  expect(await asked(Buffer.alloc(built.config.length))).toEqual([ofManifest, ofConfig]);
});

describe('media types', () => {
  it('asks for every kind it understands', async () => {
    serve(manifest);
    await bench.resolve(name);
    const accept = double.requests[0]!.headers.accept?.split(', ');
    expect(accept).toEqual(expect.arrayContaining([ociIndex, ociManifest, dockerManifest, dockerList]));
  });

  it.each([
    [
      'docker’s',
      {
        ...manifest,
        mediaType: dockerManifest,
        config: { ...(manifest['config'] as Fields), mediaType: 'application/vnd.docker.container.image.v1+json' },
        layers: [
          { ...(manifest['layers'] as Fields[])[0], mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip' },
        ],
      },
      dockerManifest,
    ],
    ['one that does not name its own type', { ...manifest, mediaType: undefined }, ociManifest],
    ['one served as plain text', manifest, 'text/plain; charset=utf-8'],
  ])('takes %s manifest', async (_name, document, type) => {
    const bytes = serve(document, type);
    expect((await bench.resolve(name)).manifestDigest).toBe(digestOf(bytes));
  });

  const layer = (manifest['layers'] as Fields[])[0]!;
  const refused: [string, unknown, string | undefined, string][] = [
    ['both index and manifest', { ...manifest, manifests: [] }, undefined, 'at once'],
    ['both, with a null in between', { ...manifest, config: null, layers: [], manifests: [] }, ociIndex, 'at once'],
    ['neither', { schemaVersion: 2, mediaType: ociManifest }, undefined, 'neither'],
    ['a manifest called an index', { ...manifest, mediaType: ociIndex }, undefined, 'holds another kind'],
    ['a manifest served as an index', { ...manifest, mediaType: undefined }, ociIndex, 'holds another kind'],
    ['an index called a manifest', { manifests: [], mediaType: dockerManifest }, undefined, 'holds another kind'],
    ['of a type of its own', { ...manifest, mediaType: 'application/x-mine' }, undefined, 'no image'],
    ['schema 1 by version', { schemaVersion: 1, name: 'a', fsLayers: [] }, undefined, 'docker schema 1'],
    [
      'schema 1 by type',
      { ...manifest },
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      'docker schema 1',
    ],
    ['schema 1 by its layers', { fsLayers: [], layers: [] }, undefined, 'docker schema 1'],
    [
      'an artifact',
      {
        ...manifest,
        config: { ...(manifest['config'] as Fields), mediaType: 'application/vnd.cncf.helm.config.v1+json' },
      },
      undefined,
      'an artifact of type "application/vnd.cncf.helm.config.v1+json"',
    ],
    [
      'an artifact with a type',
      {
        ...manifest,
        artifactType: 'application/x-sbom',
        config: { ...(manifest['config'] as Fields), mediaType: 'application/vnd.oci.empty.v1+json' },
      },
      undefined,
      'an artifact of type "application/x-sbom"',
    ],
    [
      'an encrypted layer',
      { ...manifest, layers: [{ ...layer, mediaType: `${String(layer['mediaType'])}+gzip+encrypted` }] },
      undefined,
      'encrypted',
    ],
    [
      'a layer of another kind',
      { ...manifest, layers: [{ ...layer, mediaType: 'application/x-iso' }] },
      undefined,
      'not a layer',
    ],
    ['a layer without size', { ...manifest, layers: [{ ...layer, size: undefined }] }, undefined, 'no size'],
    ['a layer without digest', { ...manifest, layers: [{ ...layer, digest: 'md5:x' }] }, undefined, 'sha256'],
    [
      'more layers than its config',
      { ...manifest, layers: [layer, layer] },
      undefined,
      '2 layers where its config has 1',
    ],
    ['not JSON', Buffer.from('<html>'), 'text/html', 'of type "text/html" that is no manifest'],
    ['not quite JSON', Buffer.from('{'), 'text/html', 'not JSON'],
  ];
  it.each(refused)('refuses a document that is %s', async (_name, document, type, why) => {
    if (Buffer.isBuffer(document)) double.manifests.set('team/app 1', { bytes: document, type: type! });
    else serve(document, type);
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining(why),
    });
  });
});

describe('digests and sizes', () => {
  it('compares the header’s digest', async () => {
    serve(manifest);
    double.trick(/manifests/, (_request, response) => {
      response.writeHead(200, { 'docker-content-digest': `sha256:${'0'.repeat(64)}` });
      response.end(json(manifest));
    });
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining('not what its header says'),
    });
  });

  it('compares a digest that was asked for', async () => {
    serve(manifest);
    const other = `sha256:${'1'.repeat(64)}`;
    double.addManifest('team/app', other, json(manifest));
    await expect(bench.resolve(`${double.host}/team/app@${other}`)).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining(`is ${digestOf(json(manifest))}`),
    });
  });

  it.each([
    ['shorter', Buffer.from('{}')],
    ['longer', Buffer.concat([Buffer.from(built.config), Buffer.from(' ')])],
    ['other', Buffer.from('x'.repeat(built.config.length))],
  ])('compares the config, which is %s', async (_name, config) => {
    serve(manifest);
    double.blobs.set(built.id, config);
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining('config sha256:'),
    });
  });

  it('compares a manifest with its entry in the index', async () => {
    const entry = entryOf(manifest, { platform: hostPlatform() });
    serve({ schemaVersion: 2, mediaType: ociIndex, manifests: [{ ...entry, size: Number(entry['size']) + 1 }] });
    await expect(bench.resolve(name)).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  });

  it.each([
    ['says', true],
    ['does not say', false],
  ])('reads no document that is too large and %s so', async (_name, says) => {
    double.trick(/manifests/, (_request, response) => {
      if (says) response.setHeader('content-length', maxDocumentBytes + 1);
      response.end(Buffer.alloc(maxDocumentBytes + 1, ' '));
    });
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining(`larger than ${maxDocumentBytes}`),
    });
  });

  it('asks for no config that is too large', async () => {
    serve({ ...manifest, config: { ...(manifest['config'] as Fields), size: maxDocumentBytes + 1 } });
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining('larger'),
    });
    expect(double.count(/blobs/)).toBe(0);
  });
});

describe('indexes', () => {
  const index = (manifests: Fields[], more: Fields = {}): Fields => ({
    schemaVersion: 2,
    mediaType: ociIndex,
    manifests,
    ...more,
  });
  const amd64: Platform = { os: 'linux', architecture: 'amd64' };
  const arm = (variant: string): Platform => ({ os: 'linux', architecture: 'arm64', variant });

  it('choose the platform, also in docker’s form', async () => {
    for (const mediaType of [ociIndex, dockerList]) {
      const entries = [
        entryOf(variantOf('windows'), { platform: { os: 'windows', architecture: 'amd64' } }),
        entryOf(variantOf('arm'), { platform: arm('v8') }),
        entryOf(variantOf('amd'), { platform: amd64 }),
        entryOf(variantOf('attestation'), { platform: { os: 'unknown', architecture: 'unknown' } }),
      ];
      serve(index(entries, { mediaType }), mediaType);
      expect(await markFor(amd64)).toBe('amd');
      expect(await markFor(arm('v8'))).toBe('arm');
    }
  });

  it('prefer the same variant, then none, then another', async () => {
    const v3 = entryOf(variantOf('v3'), { platform: { ...amd64, variant: 'v3' } });
    const plain = entryOf(variantOf('plain'), { platform: amd64 });
    serve(index([v3, plain]));
    expect(await markFor(amd64)).toBe('plain');
    serve(index([plain, v3]));
    expect(await markFor({ ...amd64, variant: 'v3' })).toBe('v3');
    serve(index([v3]));
    expect(await markFor(amd64)).toBe('v3');
  });

  it('take entries without a platform only where none has one, and leave out what is no image', async () => {
    const bare = entryOf(variantOf('bare'));
    serve(index([{ ...bare, mediaType: 'application/x-mine' }, bare]));
    expect(await markFor(amd64)).toBe('bare');
    serve(index([bare, entryOf(variantOf('named'), { platform: amd64 })]));
    expect(await markFor(amd64)).toBe('named');
  });

  it('are followed into one another, but not for ever', async () => {
    let document = index([entryOf(variantOf('deep'), { platform: amd64 })]);
    document = index([entryOf(document)]);
    serve(index([entryOf(document)]));
    expect(await markFor(amd64)).toBe('deep');
    serve(index([entryOf(index([entryOf(document)]))]));
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining('nested'),
    });
  });

  it('are not searched through when there are very many', async () => {
    const empties = Array.from({ length: 40 }, (_, count) => entryOf(index([], { annotations: { count } })));
    serve(index(empties));
    await expect(bench.resolve(name)).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining('manifests to look through'),
    });
    expect(double.requests.length).toBeLessThan(20);
  });

  it('are refused where an entry calls a manifest an index', async () => {
    serve(index([entryOf(manifest, { mediaType: ociIndex, platform: amd64 })]));
    await expect(bench.resolve(name, undefined, amd64)).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining('another kind'),
    });
  });
});
