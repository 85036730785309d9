import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { digestLike, digestOf } from '../config.ts';
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

it('counts the fields that nobody knows of the documents that lead to the image, and of no other', async () => {
  const wanted = {
    ...manifest,
    new: 1,
    layers: (manifest['layers'] as Fields[]).map((layer) => ({ ...layer, new: 1 })),
  };
  const { os, architecture } = hostPlatform();
  const other = entryOf({ ...manifest, alsoNew: 1 }, { platform: { os, architecture: 'other' } });
  serve({ schemaVersion: 2, manifests: [other, entryOf(wanted, { platform: { os, architecture }, new: 1 })] });
  expect((await bench.resolve(name)).unknownFields).toEqual({ manifest: 2, index: 1 });
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

describe('a config that is not called an image’s', () => {
  const layers = manifest['layers'] as Fields[];
  const withConfig = (bytes: Uint8Array, more: Fields, changes: Fields = {}): Fields => {
    double.blobs.set(digestOf(bytes), bytes);
    return { ...manifest, config: { digest: digestOf(bytes), size: bytes.length, ...more }, ...changes };
  };

  it.each([
    [{ mediaType: 'application/octet-stream' }],
    [{ mediaType: 'application/json' }],
    [{ mediaType: '' }],
    [{ mediaType: 'application/vnd.docker.plugin.v1+json' }],
    [{ mediaType: 'application/vnd.oci.image.config.v1+json; charset=utf-8' }],
    [{}],
  ])('is an image, if it reads as one: %j', async (more) => {
    serve(withConfig(built.config, more));
    expect(digestOf((await bench.resolve(name)).config)).toBe(built.id);
  });

  it.each([
    ['a chart', '{"name":"chart"}', { mediaType: 'application/vnd.cncf.helm.config.v1+json' }, {}, 'helm.config'],
    ['an empty one', '{}', { mediaType: 'application/vnd.oci.empty.v1+json' }, {}, 'oci.empty'],
    ['one with a type', '{}', { mediaType: 'application/octet-stream' }, { artifactType: 'a/sbom' }, 'a/sbom'],
    ['no JSON', 'hello', { mediaType: 'application/octet-stream' }, {}, 'octet-stream'],
    ['of another form', '{"config":[]}', { mediaType: 'application/json' }, {}, 'application/json'],
    ['without layers', '{}', { mediaType: 'application/json' }, { layers: [] }, 'application/json'],
    ['without a type', '{}', {}, {}, 'of type ""'],
    [
      'with layers of another kind',
      Buffer.from(built.config).toString(),
      { mediaType: 'application/json' },
      { layers: [{ ...layers[0], mediaType: 'application/wasm' }] },
      'application/json',
    ],
  ])('is an artifact otherwise: %s', async (_name, text, more, changes, words) => {
    serve(withConfig(Buffer.from(text), more, changes));
    const message: unknown = expect.stringMatching(
      /^manifest sha256:\w+ is an artifact of type .*, not a container image$/,
    );
    await expect(bench.resolve(name)).rejects.toMatchObject({ code: 'IMAGE_INVALID', message });
    await expect(bench.resolve(name)).rejects.toThrow(words);
  });
});

describe('digests of other algorithms', () => {
  const sha512 = (bytes: Uint8Array): string => digestLike('sha512:', bytes);
  /** As long, and still JSON. */
  const changed = (bytes: Uint8Array): Buffer => Buffer.from(Buffer.from(bytes).toString().replace('layers', 'LAYERS'));

  it('are checked by theirs: config, manifest and name', async () => {
    double.blobs.set(sha512(built.config), built.config);
    const document = { ...manifest, config: { ...(manifest['config'] as Fields), digest: sha512(built.config) } };
    const bytes = json(document);
    double.addManifest('team/app', sha512(bytes), bytes);
    serve({
      ...{ schemaVersion: 2, mediaType: ociIndex },
      manifests: [{ mediaType: ociManifest, digest: sha512(bytes), size: bytes.length, platform: hostPlatform() }],
    });
    const image = await bench.resolve(name);
    expect(digestOf(image.config)).toBe(built.id);
    const pinned = `${double.host}/team/app@${sha512(bytes)}`;
    expect((await bench.resolve(pinned)).manifestDigest).toBe(sha512(bytes));
    double.blobs.set(sha512(built.config), changed(built.config));
    await expect(bench.resolve(pinned)).rejects.toThrow('is sha512:');
    double.addManifest('team/app', sha512(bytes), changed(bytes));
    await expect(bench.resolve(pinned)).rejects.toThrow('is sha512:');
  });

  it.each(['md5:d41d8cd98f00b204e9800998ecf8427e', `sha512:${'0'.repeat(64)}`, `sha1:${'0'.repeat(40)}`])(
    'are refused where they are not known: %s',
    async (digest) => {
      serve({ ...manifest, config: { ...(manifest['config'] as Fields), digest } });
      await expect(bench.resolve(name)).rejects.toThrow('is no sha256 or sha512 digest');
    },
  );
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

  it('with several variants give the best that the processor can do, never one above it', async () => {
    const variant = (level: string): Fields => entryOf(variantOf(level), { platform: { ...amd64, variant: level } });
    const plain = entryOf(variantOf('plain'), { platform: amd64 });
    serve(index([variant('v9'), plain, variant('v2'), variant('v3')]));
    expect(await markFor({ ...amd64, variant: 'v4' })).toBe('v3');
    expect(await markFor({ ...amd64, variant: 'v2' })).toBe('v2');
    expect(await markFor(amd64)).toBe('plain');
    serve(index([variant('v9')]));
    await expect(markFor({ ...amd64, variant: 'v4' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  /** An image without a platform in its entry; its config has one. */
  const unnamed = (mark: string, architecture: string): Fields => {
    const config = json({ ...(JSON.parse(Buffer.from(built.config).toString()) as Fields), architecture });
    double.blobs.set(digestOf(config), config);
    const descriptor = { ...(manifest['config'] as Fields), digest: digestOf(config), size: config.length };
    return entryOf({ ...variantOf(mark), config: descriptor });
  };

  it('take an entry without a platform after all that name one, and if its config names ours', async () => {
    const named = entryOf(variantOf('named'), { platform: amd64 });
    const foreign = entryOf(variantOf('foreign'), { platform: arm('v8') });
    serve(index([{ ...unnamed('x', 'amd64'), mediaType: 'application/x-mine' }, unnamed('bare', 'amd64')]));
    expect(await markFor(amd64)).toBe('bare');
    serve(index([unnamed('bare', 'amd64'), named]));
    expect(await markFor(amd64)).toBe('named');
    serve(index([foreign, unnamed('bare', 'amd64')]));
    expect(await markFor(amd64)).toBe('bare');
    serve(index([unnamed('arm', 'arm64'), unnamed('bare', 'amd64')]));
    expect(await markFor(amd64)).toBe('bare');
    serve(index([unnamed('arm', 'arm64')]));
    await expect(markFor(amd64)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('pass over artifacts beside the images', async () => {
    const empty = Buffer.from('{}');
    double.blobs.set(digestOf(empty), empty);
    const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf(empty), size: empty.length };
    serve(index([entryOf({ ...manifest, config }), unnamed('bare', 'amd64')]));
    expect(await markFor(amd64)).toBe('bare');
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
