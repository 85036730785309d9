import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { FaultyProxy } from './harness/faulty-proxy.ts';
import type { BuiltImage } from './harness/made-image.ts';
import { busyboxImage, nginxImage } from './harness/server-images.ts';
import { Registry, type RegistryOptions } from './harness/registry.ts';

// The real crictl and real registries that hold nginx and busybox.

const users = { ann: 'secret' };
const kinds: Readonly<Record<string, RegistryOptions>> = {
  'a plain registry': { port: 5000 },
  'a registry with TLS and passwords': { port: 5001, tls: true, auth: 'basic', users },
  'a registry with TLS and tokens': { port: 5002, tls: true, auth: 'token', users },
};

let berthd: Berthd;
let nginx: BuiltImage;
let busybox: BuiltImage;
const registries = new Map<string, Registry>();

beforeAll(async () => {
  nginx = await nginxImage();
  busybox = busyboxImage();
  berthd = await startBerthd({
    config: (node) => `[registries]\nhosts_directories = ["${node.directory}/hosts"]\nstall_timeout = "2s"\n`,
    prepare: async (node) => {
      for (const [kind, options] of Object.entries(kinds)) {
        const registry = await Registry.start(node, options);
        registries.set(kind, registry);
        await registry.push('library/nginx:1', nginx);
        await registry.push('library/busybox:1', busybox);
        trust(registry, path.join(node.directory, 'hosts'));
      }
    },
  });
});
afterAll(async () => {
  await berthd.teardown();
});

/** Lets berthd trust the authority of a registry that has one of its own. */
function trust(registry: Registry, hosts: string): void {
  if (registry.authority === undefined) return;
  const directory = path.join(hosts, registry.host);
  mkdirSync(directory, { recursive: true });
  writeFileSync(path.join(directory, 'hosts.toml'), `server = "${registry.url}"\nca = "${registry.authority.cert}"\n`);
}

async function images(): Promise<string[]> {
  return (await berthd.crictlOk('images', '-q')).split('\n').filter(Boolean);
}

describe.each(Object.keys(kinds))('from %s', (kind) => {
  const registry = (): Registry => {
    const found = registries.get(kind);
    if (found === undefined) throw new Error(`no registry: ${kind}`);
    return found;
  };
  const image = (name: string): string => `${registry().host}/library/${name}`;
  const credentials = (): string[] => (registry().options.auth === undefined ? [] : ['--creds', 'ann:secret']);
  const pull = (name: string): Promise<string> => berthd.crictlOk('pull', ...credentials(), image(name));

  test('crictl pulls by tag and by digest, and removes', async () => {
    expect(await pull('nginx:1')).toContain(nginx.id);
    expect(await images()).toEqual([nginx.id]);
    expect(await pull(`nginx@${nginx.manifest.digest}`)).toContain(nginx.id);
    expect(await images()).toEqual([nginx.id]);
    expect(nginx.layers.map(({ digest }) => registry().fetches(digest))).toEqual(nginx.layers.map(() => 1));
    await berthd.crictlOk('rmi', image('nginx:1'));
    expect(await images()).toEqual([]);
  });

  test('a missing tag, repository or digest is said to be missing', async () => {
    for (const name of ['nginx:2', 'nothing:1', `nginx@${busybox.layers[0]?.digest ?? ''}`]) {
      const { code, stderr } = await berthd.crictl(['pull', ...credentials(), image(name)]);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/NotFound/);
      expect(stderr).toContain(image(name));
    }
    expect(await images()).toEqual([]);
  });

  if (kinds[kind]?.auth !== undefined) {
    test.each([
      ['a wrong password', ['--creds', 'ann:wrong']],
      ['no password', []],
    ])('%s is refused', async (_what, creds) => {
      const { code, stderr } = await berthd.crictl(['pull', ...creds, image('nginx:1')]);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/Unauthenticated|PermissionDenied/);
      expect(stderr).not.toContain('wrong');
      expect(await images()).toEqual([]);
    });
  }
});

describe('before a plain registry', () => {
  const plain = (): Registry => registries.get('a plain registry') as Registry;
  const size = (): number => busybox.layers[0]?.bytes.length ?? 0;

  test.each([
    ['breaks', 'break'],
    ['goes silent', 'stall'],
  ] as const)('a line that %s twice is taken up again where it ended', async (_what, kind) => {
    const proxy = await FaultyProxy.start(plain().sockets, plain().port);
    proxy.fault = { kind, afterBytes: 200_000, times: 2 };
    expect(await berthd.crictlOk('pull', `${proxy.host}/library/busybox:1`)).toContain(busybox.id);
    expect(proxy.struck).toBe(2);
    expect(proxy.bytes).toBeLessThan(size() * 1.5 + 400_000);
    await berthd.crictlOk('rmi', busybox.id);
  });

  test('a line that trickles, but not too slowly, is waited for', async () => {
    const proxy = await FaultyProxy.start(plain().sockets, plain().port);
    proxy.fault = { kind: 'trickle', afterBytes: size() - 100_000, bytes: 20_000, everyMs: 100 };
    expect(await berthd.crictlOk('pull', `${proxy.host}/library/busybox:1`)).toContain(busybox.id);
    expect(proxy.struck).toBe(1);
    await berthd.crictlOk('rmi', busybox.id);
  });
});
