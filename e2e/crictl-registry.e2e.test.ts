import { mkdirSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { Companion } from './harness/companion.ts';
import { CrictlPod } from './harness/crictl-pod.ts';
import { FaultyProxy } from './harness/faulty-proxy.ts';
import { busyboxLayer } from './harness/image-archive.ts';
import { buildImage, type BuiltImage } from './harness/made-image.ts';
import { nginxConfig, nginxLayer } from './harness/nginx-layer.ts';
import { podConfig } from './harness/pods.ts';
import { Registry, type RegistryOptions } from './harness/registry.ts';
import { eventually } from './harness/wait.ts';

// What whoever installs Berth does first: the real crictl, real registries, nginx and busybox.

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
  const accounts = [
    { name: 'etc/passwd', data: 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' },
    { name: 'etc/group', data: 'root:x:0:\nnogroup:x:65534:\n' },
    { name: 'var/run/' },
  ];
  const config = { Cmd: ['nginx'], StopSignal: 'SIGQUIT' };
  nginx = buildImage({ layers: [busyboxLayer, accounts, await nginxLayer(), nginxConfig(80)], config });
  busybox = buildImage({ layers: [busyboxLayer], config: { Cmd: ['sh'] }, format: 'oci', compression: 'zstd' });
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

describe('with what was pulled', () => {
  const name = (image: string): string => `127.0.0.1:5000/library/${image}:1`;
  let pod: CrictlPod;
  let web: string;
  let sh: string;
  const hostPort = 12080;

  beforeAll(async () => {
    await berthd.crictlOk('pull', name('nginx'));
    await berthd.crictlOk('pull', name('busybox'));
    const ports = [{ container_port: 80, host_port: hostPort, protocol: 0 }];
    pod = await CrictlPod.run(berthd, { ...podConfig(berthd), port_mappings: ports });
    web = await pod.start({
      metadata: { name: 'web' },
      image: { image: name('nginx') },
      log_path: 'web.log',
      linux: {},
    });
    sh = await pod.start({
      metadata: { name: 'sh' },
      image: { image: name('busybox') },
      stdin: true,
      log_path: 'sh.log',
      linux: { resources: { memory_limit_in_bytes: 64 << 20 } },
    });
  });

  /** The page that nginx serves, at a port of the node. */
  async function page(port: number): Promise<string> {
    const { sockets } = registries.get('a plain registry') as Registry;
    const socket = await sockets.connect(port);
    return new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port, agent: false, createConnection: () => socket, path: `/?${port}` }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(text)).on('error', reject);
      }).on('error', reject);
    });
  }

  test('the host port leads to nginx, and its log is followed to its end', async () => {
    const logs = new Companion(berthd.node, berthd.crictlCommand(['logs', '-f', web]));
    await eventually('nginx serves', async () => (await page(hostPort)).includes('Welcome to nginx!'));
    await logs.says(`GET /?${hostPort}`);
    await logs.kill();
  });

  test('a forwarded port leads to nginx', async () => {
    const forward = new Companion(berthd.node, berthd.crictlCommand(['port-forward', pod.id, '12081:80']));
    await forward.says('Forwarding from 127.0.0.1:12081');
    expect(await page(12081)).toContain('Welcome to nginx!');
    expect(await page(12081)).toContain('Welcome to nginx!');
    await forward.kill();
  });

  test.each(['spdy', 'websocket'])('exec -it gives a terminal over %s', async (transport) => {
    const exec = berthd.crictlCommand(['exec', '-r', transport, '-i', '-t', sh, 'sh']).join(' ');
    const terminal = new Companion(berthd.node, ['script', '-qefc', exec, '/dev/null']);
    terminal.write('tty; echo sum $((40+2))\n');
    await terminal.says(/sum 42/);
    expect(terminal.text).toMatch(/\/dev\/pts\/\d/);
    terminal.write('exit 7\n');
    expect(await terminal.exit()).not.toBe(0);
  });

  test.each(['spdy', 'websocket'])('exec passes input, output and the exit code over %s', async (transport) => {
    const line = 'cat; echo bad >&2; exit 3';
    const result = await berthd.crictl(['exec', '-r', transport, '-i', sh, 'sh', '-c', line], { input: 'given\n' });
    expect(result.stdout).toBe('given\n');
    expect(result.stderr).toContain('bad\n');
    expect(result.stderr).toMatch(/exit code 3|status 3/);
    expect(result.code).not.toBe(0);
  });

  test.each(['spdy', 'websocket'])('attach reaches the shell of the container over %s', async (transport) => {
    const attach = new Companion(berthd.node, berthd.crictlCommand(['attach', '-r', transport, '-i', sh]));
    attach.write(`echo ${transport} $((40+2))\n`);
    await attach.says(`${transport} 42`);
    await attach.kill();
    expect(await berthd.crictlOk('logs', sh)).toContain(`${transport} 42`);
  });

  test('statistics tell of both containers and the pod', async () => {
    const { stats } = JSON.parse(await berthd.crictlOk('stats', '-o', 'json')) as { stats: ContainerUse[] };
    expect(stats.map(({ attributes }) => attributes.id).sort()).toEqual([web, sh].sort());
    for (const { memory } of stats) expect(Number(memory.workingSetBytes.value)).toBeGreaterThan(0);
    const pods = JSON.parse(await berthd.crictlOk('statsp', '-o', 'json')) as { stats: ContainerUse[] };
    expect(pods.stats.map(({ attributes }) => attributes.id)).toEqual([pod.id]);
  });

  test('update changes a limit of the running container', async () => {
    const limit = 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max';
    const read = (): Promise<string> => berthd.crictlOk('exec', '--sync', sh, 'sh', '-c', limit);
    expect(await read()).toBe(String(64 << 20));
    await berthd.crictlOk('update', '--memory', String(96 << 20), sh);
    expect(await read()).toBe(String(96 << 20));
  });

  test('everything stops and is removed, and the host port is free', async () => {
    const logs = new Companion(berthd.node, berthd.crictlCommand(['logs', '-f', web]));
    await logs.says('GET /');
    await berthd.crictlOk('stop', web);
    expect(await logs.exit()).toBe(0);
    await berthd.crictlOk('rm', web);
    await pod.remove([sh]);
    await expect(page(hostPort)).rejects.toThrow();
    await berthd.crictlOk('rmi', name('nginx'));
    await berthd.crictlOk('rmi', name('busybox'));
    expect(await images()).toEqual([]);
  });
});

/** What is read of crictl's statistics. */
interface ContainerUse {
  readonly attributes: { readonly id: string };
  readonly memory: { readonly workingSetBytes: { readonly value: string } };
}
