import { get } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { CniFiles, cniConfig } from './harness/cni.ts';
import { Companion } from './harness/companion.ts';
import { CrictlPod } from './harness/crictl-pod.ts';
import type { TestNode } from './harness/node.ts';
import { podConfig } from './harness/pods.ts';
import { Registry } from './harness/registry.ts';
import { busyboxImage, nginxImage } from './harness/server-images.ts';
import { eventually } from './harness/wait.ts';

// What whoever installs Berth does first: nginx and busybox from a registry, and everything that the real crictl can do
// with them.

let berthd: Berthd;
let registry: Registry;
let pod: CrictlPod;
let web: string;
let sh: string;
let cni: CniFiles;
const cniNetwork = 'Debian’s CNI plugins';
const cniBridge = 'lifebr';
const hostPort = 12080;
const name = (image: string): string => `127.0.0.1:5000/library/${image}:1`;

/** nginx and busybox from the registry, side by side in a pod with a port of the node. */
async function makePod(): Promise<void> {
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
}

const bridgeAndPortmap = (): object => ({
  ...{ cniVersion: '1.0.0', name: 'life' },
  plugins: [
    {
      ...{ type: 'bridge', bridge: cniBridge, isGateway: true, ipMasq: true, hairpinMode: true },
      ipam: cni.ipam('10.78.0.0/24'),
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});

/** The page that nginx serves, at a port of the node. */
async function page(port: number): Promise<string> {
  const socket = await registry.sockets.connect(port);
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, createConnection: () => socket, path: `/?${port}` }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text)).on('error', reject);
    }).on('error', reject);
  });
}

describe.each(['the built-in network', cniNetwork])('with %s', (network) => {
  beforeAll(async () => {
    berthd = await startBerthd({
      prepare: async (at: TestNode): Promise<void> => {
        registry = await Registry.start(at);
        await registry.push('library/nginx:1', await nginxImage());
        await registry.push('library/busybox:1', busyboxImage());
      },
      ...(network === cniNetwork ? { network: (at) => cniConfig(at) } : {}),
    });
    cni = new CniFiles(berthd);
    if (network === cniNetwork) await cni.use(bridgeAndPortmap());
    await makePod();
  });

  afterAll(async () => {
    if (network === cniNetwork) await cni.removeLeftovers(cniBridge);
    await berthd.teardown();
  });

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
    expect(await berthd.crictlOk('images', '-q')).toBe('');
  });
});

/** What is read of crictl's statistics. */
interface ContainerUse {
  readonly attributes: { readonly id: string };
  readonly memory: { readonly workingSetBytes: { readonly value: string } };
}
