import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { serveHttp, type HttpServer } from './harness/http-server.ts';
import { busyboxLayer, writeImage } from './harness/image-archive.ts';
import { LimitBench, type Outcome } from './harness/limit-bench.ts';
import { digestOf, ownArchitecture } from './harness/made-image.ts';
import { NodeSockets } from './harness/node-sockets.ts';
import { shell, TestPod } from './harness/pods.ts';
import { tar, type LayerEntry } from './harness/tar.ts';

// Images around their limits, from a registry that the test plays, and what lies where their accounts should be.

const mebibyte = 1024 * 1024;
const limit = 4 * mebibyte;
const oci = 'application/vnd.oci.image';
const taken = ['taken', 'taken', 'refused'];

let bench: LimitBench;
let sockets: NodeSockets;
let registry: HttpServer;
/** By the end of its path: "manifests/1", "blobs/sha256:…". */
const documents = new Map<string, Buffer>();
let certificates: string;

const answer: RequestListener = ({ url = '' }, response) => {
  const name = url.split('/').slice(-2).join('/').replace(/\?.*$/, '');
  if (name === 'manifests/endless') {
    response.writeHead(200, { 'content-type': `${oci}.manifest.v1+json` });
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536, ' ')));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
    return;
  }
  const bytes = documents.get(name);
  response.writeHead(bytes ? 200 : 404, { 'content-length': bytes?.length ?? 0 }).end(bytes);
};

beforeAll(async () => {
  bench = await LimitBench.start({
    config: (node) => `[registries]\nhosts_directories = ["${node.directory}/certs.d"]\n`,
  });
  certificates = path.join(bench.berthd.node.directory, 'certs.d');
  sockets = await NodeSockets.open(bench.berthd.node);
  registry = await serveHttp(sockets, answer);
});
afterAll(async () => {
  sockets.close();
  // The thread that pulls keeps its connections for half a minute; they are compared where pulls are tested.
  await bench.berthd.restart();
  await bench.teardown();
});

const pull = async (tag: string): Promise<void> => {
  const image = { image: `127.0.0.1:${registry.port}/i:${tag}` };
  await bench.berthd.cri.images.pullImage({ image });
};

/** Padded to a length with an annotation, which nobody reads. */
function padded(document: object, bytes = 0): Buffer {
  const bare = Buffer.byteLength(JSON.stringify({ ...document, annotations: { k: '' } }));
  return Buffer.from(JSON.stringify({ ...document, annotations: { k: 'x'.repeat(Math.max(0, bytes - bare)) } }));
}

function publish(place: string, mediaType: string, bytes: Buffer, more: object = {}): object {
  const digest = digestOf(bytes);
  documents.set(`${place}/${digest}`, bytes);
  return { mediaType, digest, size: bytes.length, ...more };
}

const platform = { platform: { os: 'linux', architecture: ownArchitecture } };
const layerOf = (entries: readonly LayerEntry[]): Buffer => tar(entries);

interface Recipe {
  readonly layers?: readonly Buffer[];
  readonly configBytes?: number;
  readonly manifestBytes?: number;
}

/** Gives the manifest, whose blobs can be had. */
function image({ layers = [layerOf([{ name: 'a', data: 'a' }])], configBytes, manifestBytes }: Recipe): Buffer {
  const diff_ids = layers.map(digestOf);
  const config = { os: 'linux', architecture: ownArchitecture, config: {}, rootfs: { type: 'layers', diff_ids } };
  const manifest = {
    ...{ schemaVersion: 2, mediaType: `${oci}.manifest.v1+json` },
    config: publish('blobs', `${oci}.config.v1+json`, padded(config, configBytes)),
    layers: layers.map((bytes) => publish('blobs', `${oci}.layer.v1.tar`, bytes)),
  };
  return padded(manifest, manifestBytes);
}

const index = (manifests: readonly object[], bytes = 0): Buffer =>
  padded({ schemaVersion: 2, mediaType: `${oci}.index.v1+json`, manifests }, bytes);
const manifestEntry = (bytes: Buffer): object => publish('manifests', `${oci}.manifest.v1+json`, bytes, platform);
const indexEntry = (bytes: Buffer): object => publish('manifests', `${oci}.index.v1+json`, bytes);

async function pulled(document: Buffer): Promise<void> {
  documents.set('manifests/row', document);
  await pull('row');
}

const rows: readonly [string, number, (many: number) => Buffer][] = [
  ['image manifest', limit, (manifestBytes) => image({ manifestBytes })],
  ['image config', limit, (configBytes) => image({ configBytes })],
  ['image index', limit, (bytes) => index([manifestEntry(image({}))], bytes)],
  [
    'entries of an index',
    10_000,
    (many) =>
      index([
        manifestEntry(image({})),
        ...Array<object>(many - 1).fill({ platform: { os: 'plan9', architecture: '' } }),
      ]),
  ],
  [
    'manifests looked through for a name',
    16,
    (many) => {
      const empty = (at: number): object => indexEntry(index([], 200 + at));
      // One that names its platform would be looked at before those that name none.
      const unnamed = publish('manifests', `${oci}.manifest.v1+json`, image({}));
      return index([...Array.from({ length: many - 2 }, (_, at) => empty(at)), unnamed]);
    },
  ],
  [
    'layers',
    500,
    (many) =>
      image({ layers: Array.from({ length: many }, (_, at) => layerOf([{ name: `f${at}`, data: String(at) }])) }),
  ],
];

describe('an image of a registry', () => {
  test.each(rows)(
    '%s (%i)',
    async (what, value, document) => {
      expect(await bench.row(what, value, (many) => pulled(document(many)))).toEqual(taken);
    },
    60_000,
  );

  test('a manifest without end is cut', async () => {
    expect(await bench.outcomeOf(pull('endless'))).toBe('refused');
  });
});

describe('a hosts.toml', () => {
  const file = (): string => path.join(certificates, `127.0.0.1:${registry.port}`, 'hosts.toml');
  beforeAll(() => {
    mkdirSync(path.dirname(file()), { recursive: true });
    documents.set('manifests/hosts', image({}));
  });
  afterAll(() => rmSync(certificates, { recursive: true }));

  test('of 1 MiB is read', async () => {
    const outcomes = await bench.row('hosts.toml', mebibyte, (many) => {
      writeFileSync(file(), `server = "${registry.url}"\n#`.padEnd(many, 'x'));
      return pull('hosts');
    });
    expect(outcomes).toEqual(taken);
  });

  test.each(['mkfifo', 'ln -s /dev/zero'])('that is made by %s is refused by name, and nobody waits', async (made) => {
    await bench.berthd.node.run(['sh', '-c', `rm -f ${file()}; ${made} ${file()}`]);
    expect(await bench.outcomeOf(pull('hosts'))).toContain(`${file()} is not a regular file`);
  });
});

describe('accounts of an image', () => {
  let pod: TestPod;
  let serial = 0;
  beforeAll(async () => {
    pod = await TestPod.run(bench.berthd);
  });

  /** A container of an image with these files in /etc, as a user that only they know. */
  async function idIn(...etc: readonly LayerEntry[]): Promise<string> {
    const reference = `localhost/accounts${(serial += 1)}:1`;
    const file = path.join(bench.berthd.node.directory, 'accounts.tar');
    writeImage(file, { reference, layers: [busyboxLayer, [{ name: 'etc/' }, ...etc]] });
    await bench.berthd.load(file);
    const linux = { security_context: { run_as_username: 'last' } };
    const container = await pod.start({ ...shell('id'), image: { image: reference }, linux });
    await container.exited();
    return container.output();
  }
  const known = 'last:x:77:78::/:\n';
  const passwd = (bytes: number): LayerEntry => ({
    name: 'etc/passwd',
    data: `${'#'.repeat(bytes - known.length - 1)}\n${known}`,
  });
  const group = (bytes: number): LayerEntry => ({ name: 'etc/group', data: `g:x:79:last\n${'#'.repeat(bytes - 12)}` });

  test('of 16 MiB are read', async () => {
    expect(await bench.row('/etc/passwd of an image', 16 * mebibyte, (many) => idIn(passwd(many)))).toEqual(taken);
    expect(await idIn({ name: 'etc/passwd', data: known }, group(100))).toMatch(/uid=77.* gid=78 groups=.*79/);
  }, 60_000);

  const oddities: readonly [string, Partial<LayerEntry>][] = [
    ['a named pipe', { fifo: true }],
    ['a directory', { name: 'etc/passwd/' }],
    ['a link to itself', { symlinkTo: 'passwd' }],
    ['a link to what is not there', { symlinkTo: '/none' }],
    ['a link out of the image', { symlinkTo: '../../../../../../../../proc/self/environ' }],
    ['a link to a device', { symlinkTo: '/dev/zero' }],
  ];
  test.each(oddities)('that are %s know nobody', async (_what, entry) => {
    const outcome: Outcome = await bench.outcomeOf(idIn({ name: 'etc/passwd', ...entry }));
    expect(outcome).toMatch(/INVALID_ARGUMENT .*unable to find user "last": no matching entries in passwd file/);
  });
});
