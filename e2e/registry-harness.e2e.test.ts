import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { FaultyProxy } from './harness/faulty-proxy.ts';
import { buildImage, buildIndex } from './harness/made-image.ts';
import { TestNode } from './harness/node.ts';
import { Registry, type RegistryOptions } from './harness/registry.ts';

// What other tests rest on: the registry, its doors and the faults before it.

let node: TestNode;
beforeEach(async () => {
  node = await TestNode.create();
});
afterEach(() => node.destroy());

const image = buildImage({
  layers: [[{ name: 'etc/marker', data: 'x'.repeat(50_000) }]],
  compression: 'none',
  format: 'oci',
});
const [layer] = image.layers;

/** Asks from inside the node with Node's own client; gives the status and how many bytes came, or the error's code. */
async function get(url: string, headers: object = {}, ca?: string): Promise<string> {
  const program = `
    const [url, headers] = process.argv.slice(1);
    try {
      const answer = await fetch(url, { headers: JSON.parse(headers), signal: AbortSignal.timeout(1500) });
      let bytes = 0;
      try { for await (const chunk of answer.body) bytes += chunk.length; } catch { bytes = -bytes; }
      console.log(answer.status, bytes);
    } catch (error) { console.log(error.cause?.code ?? error.name); }`;
  const env = ca === undefined ? process.env : { ...process.env, NODE_EXTRA_CA_CERTS: ca };
  const argv = [process.execPath, '--input-type=module', '-e', program, url, JSON.stringify(headers)];
  return (await node.run(argv, { env })).stdout.trim();
}

async function pushed(options: RegistryOptions = {}): Promise<Registry> {
  const registry = await Registry.start(node, options);
  await registry.push('app/web:1', image);
  return registry;
}

const basic = (user: string, password: string): object => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});
const blobOf = (registry: { readonly url: string }): string =>
  `${registry.url}/v2/app/web/blobs/${layer?.digest ?? ''}`;

describe('the registry', () => {
  test('serves what was pushed and tells how often a blob was fetched', async () => {
    const registry = await pushed();
    const size = layer?.bytes.length ?? 0;
    expect(await get(blobOf(registry))).toBe(`200 ${size}`);
    expect(await get(blobOf(registry))).toBe(`200 ${size}`);
    expect(registry.fetches(layer?.digest ?? '')).toBe(2);
    expect(registry.requests()).toHaveLength(2);
  });

  test('holds an index with several platforms', async () => {
    const registry = await Registry.start(node);
    const other = buildImage({ layers: [[{ name: 'other' }]], architecture: 's390x', format: 'oci' });
    const many = buildIndex([image, other]);
    const digest = await registry.push('app/many:1', many);
    const accept = { accept: [image.manifest.mediaType, many.manifest.mediaType].join(', ') };
    expect(await get(`${registry.url}/v2/app/many/manifests/${digest}`, accept)).toMatch(/^200 /);
    expect(await get(`${registry.url}/v2/app/many/manifests/${other.manifest.digest}`, accept)).toMatch(/^200 /);
  });

  test('asks for users’ passwords over TLS', async () => {
    const registry = await pushed({ tls: true, auth: 'basic', users: { ann: 'secret' } });
    expect(await get(blobOf(registry), basic('ann', 'secret'))).toMatch(/CERT|SELF_SIGNED|UNABLE/);
    expect(await get(blobOf(registry), basic('ann', 'secret'), registry.authority?.cert)).toMatch(/^200 /);
    expect(await get(blobOf(registry), basic('ann', 'wrong'), registry.authority?.cert)).toMatch(/^401 /);
  });

  test('asks for tokens that its token server gives', async () => {
    const registry = await pushed({ auth: 'token', users: { ann: 'secret' } });
    expect(await get(blobOf(registry))).toMatch(/^401 /);
    const asked = `${registry.tokens?.realm ?? ''}?scope=repository:app/web:pull`;
    expect(await get(asked, basic('ann', 'wrong'))).toMatch(/^401 /);
    expect(await get(asked, basic('ann', 'secret'))).toMatch(/^200 /);
    const bearer = { authorization: `Bearer ${registry.tokens?.mint(['repository:app/web:pull']) ?? ''}` };
    expect(await get(blobOf(registry), bearer)).toMatch(/^200 /);
    expect(registry.tokens?.requests.map(({ user, granted }) => [user, granted])).toEqual([
      ['ann', false],
      ['ann', true],
    ]);
  });

  test('turns away who shows no certificate when it asks for one', async () => {
    const registry = await pushed({ clientCertificates: true });
    expect(await get(blobOf(registry), {}, registry.authority?.cert)).not.toMatch(/^200/);
  });
});

test('a proxy breaks, stalls and slows transfers', async () => {
  const registry = await pushed();
  const proxy = await FaultyProxy.start(registry.sockets, registry.port);
  const url = blobOf({ url: `http://${proxy.host}` });
  const size = layer?.bytes.length ?? 0;
  expect(await get(url)).toBe(`200 ${size}`);
  proxy.fault = { kind: 'break', afterBytes: 20_000, times: 1 };
  expect(await get(url)).toMatch(/^200 -/);
  expect(await get(url)).toBe(`200 ${size}`);
  proxy.fault = { kind: 'stall', afterBytes: 20_000 };
  expect(await get(url)).toMatch(/^200 -/);
  proxy.fault = { kind: 'trickle', afterBytes: 20_000, bytes: 10_000, everyMs: 5 };
  expect(await get(url)).toBe(`200 ${size}`);
  expect(proxy.struck).toBe(3);
});
