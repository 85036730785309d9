import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { sleep } from '#base/deadline';
import { randomIds, shortId } from '#base/ids';
import { podNetworkContract } from '../pod-network.contract.ts';
import { chain, CniBench } from './cni-network.fixture.ts';

const ctx = createCtx();

podNetworkContract('CniNetwork with plugins that are functions', async () => {
  const bench = new CniBench();
  await bench.network.refresh();
  return { network: bench.network, cleanUp: () => bench[Symbol.asyncDispose]() };
});

async function eventually(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2000 && !holds(); turn++) await sleep(5);
  expect(holds()).toBe(true);
}

/** How a plugin that fails properly ends. */
const failing =
  (msg: string, code = 100) =>
  () => ({ code: 1, stdout: JSON.stringify({ code, msg, details: 'so' }) });

const mapping = { protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '' } as const;

describe('ADD', () => {
  test.each([undefined, '0.1.0', '0.2.0'])('of a configuration of version %s connects pods', async (cniVersion) => {
    await using bench = new CniBench({}, { ...chain, cniVersion });
    const { podId, record } = await bench.connect();
    expect(record).toMatchObject({ addresses: ['10.9.0.2', 'fd09::2'], hostInterface: '' });
    const told = { cniVersion: cniVersion ?? '0.1.0', ip4: { ip: '10.9.0.2/16' } };
    expect(bench.plugins.calls[1]?.conf).toMatchObject({ cniVersion: told.cniVersion, prevResult: told });
    // Before 0.4.0 a DEL is not told of what ADD had found.
    await bench.network.tearDown(ctx, podId, record);
    expect(bench.plugins.calls.at(-1)?.conf).toEqual(expect.not.objectContaining({ prevResult: expect.anything() }));
  });

  test('tells every plugin what the specification says, and each what the one before found', async () => {
    await using bench = new CniBench();
    const podId = randomIds.next();
    const annotations = { 'kubernetes.io/ingress-bandwidth': '10M', other: 'a;b=c' };
    const pod = { namespace: 'ns', name: 'web', uid: 'u1', annotations };
    const { record } = await bench.connect(podId, { pod, portMappings: [mapping] });
    const [bridge, portmap, bandwidth] = bench.plugins.calls;
    const bin = path.join(bench.directory, 'bin');
    expect(bridge?.env).toEqual({
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: podId,
      CNI_NETNS: path.join(bench.config.netnsDir, `berth-${podId}`),
      CNI_IFNAME: 'eth0',
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=${podId};K8S_POD_UID=u1`,
      CNI_PATH: `${path.join(bench.directory, 'none')}:${bin}`,
      PATH: expect.stringContaining('/usr/sbin'),
    });
    expect(portmap?.env).toEqual(bridge?.env);
    expect(bridge?.conf).toEqual({ ...chain.plugins[0], name: 'pods', cniVersion: '1.0.0' });
    expect(portmap?.conf).toEqual({
      ...{ type: 'portmap', name: 'pods', cniVersion: '1.0.0' },
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
      prevResult: expect.objectContaining({ cniVersion: '1.0.0' }),
    });
    expect(bandwidth?.conf['runtimeConfig']).toEqual({
      bandwidth: { ingressRate: 10_000_000, ingressBurst: 4_294_967_295 },
    });
    expect(bandwidth?.conf['prevResult']).toEqual(portmap?.conf['prevResult']);
    const sandbox = bridge?.env['CNI_NETNS'];
    expect(record).toMatchObject({
      addresses: ['10.9.0.2', 'fd09::2'],
      hostInterface: 'veth2',
      cni: { network: 'pods' },
    });
    expect(JSON.parse(record.cni?.result ?? '')).toMatchObject({ interfaces: [{}, {}, { name: 'eth0', sandbox }] });
  });

  test('that fails in the middle undoes what was begun, last first, and says who and why', async () => {
    await using bench = new CniBench();
    bench.plugins.instead.set('portmap ADD', failing('port is taken'));
    const file = path.join(bench.directory, 'bin/portmap');
    await expect(bench.connect()).rejects.toMatchObject({
      code: 'NETWORK_FAILED',
      message: `network plugin portmap (${file}) ADD: port is taken; so (code 100)`,
    });
    expect(bench.plugins.take()).toEqual(['bridge ADD', 'portmap ADD', 'portmap DEL', 'bridge DEL']);
    expect(bench.plugins.leases.size).toBe(0);
    expect(bench.records.size).toBe(0);
    expect(readdirSync(bench.config.netnsDir)).toEqual([]);
  });

  test('does not begin when a plugin is missing', async () => {
    await using bench = new CniBench();
    await bench.network.refresh();
    bench.uninstall('bandwidth');
    await expect(bench.connect()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: /bandwidth is not in/ });
    expect(bench.plugins.take()).toEqual([]);
    expect(bench.records.size).toBe(0);
  });

  test('whose plugin wants to be asked again is not the pod’s fault', async () => {
    await using bench = new CniBench();
    bench.plugins.instead.set('bridge ADD', failing('agent is starting', 11));
    await expect(bench.connect()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: /agent is starting/ });
  });

  test.each([
    ['no address at all', { ips: [] }],
    [
      'an address on the node alone',
      { interfaces: [{ name: 'eth0' }], ips: [{ address: '10.9.0.9/16', interface: 0 }] },
    ],
    [
      'an address on another interface',
      { interfaces: [{ name: 'net1', sandbox: '/x' }], ips: [{ address: '10.9.0.9/16', interface: 0 }] },
    ],
  ])('that gives the pod %s fails, and is undone', async (_name, result) => {
    await using bench = new CniBench({}, { ...chain, plugins: [{ type: 'bridge' }] });
    bench.plugins.instead.set('bridge ADD', () => ({ cniVersion: '1.0.0', ...result }));
    await expect(bench.connect()).rejects.toMatchObject({ code: 'NETWORK_FAILED', message: /no address on eth0/ });
    expect(bench.plugins.take()).toEqual(['bridge ADD', 'bridge DEL']);
  });

  test('a plugin that hangs is ended, and what was begun undone', async () => {
    await using bench = new CniBench();
    // The undoing has no longer.
    bench.network = bench.open({ config: { ...bench.config, timeoutMs: 1000 } });
    let ended: unknown;
    bench.plugins.instead.set('portmap ADD', (_call, own) => {
      return new Promise((_resolve, reject) => {
        own.signal.addEventListener('abort', () => reject((ended = own.signal.reason) as Error));
      });
    });
    await expect(bench.connect()).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: /portmap .* ADD did not/,
    });
    expect(ended).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(bench.plugins.leases.size).toBe(0);
  });

  test.each(['a;K8S_POD_UID=0', 'a=b', 'a\nb'])('a pod called %j never reaches a plugin', async (name) => {
    await using bench = new CniBench();
    const pod = { namespace: 'ns', name, uid: 'u', annotations: {} };
    await expect(bench.connect(randomIds.next(), { pod })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(bench.plugins.take()).toEqual([]);
    expect(bench.records.size).toBe(0);
  });

  test('lists of version 0.3.1 get addresses with their family', async () => {
    await using bench = new CniBench({}, { ...chain, cniVersion: '0.3.1' });
    await bench.connect();
    const ips = [expect.objectContaining({ version: '4' }), expect.objectContaining({ version: '6' })];
    expect(bench.plugins.calls[1]?.conf['prevResult']).toMatchObject({ cniVersion: '0.3.1', ips });
  });
});

describe('DEL', () => {
  test('goes backwards, with the last result and the configuration of the ADD, whatever lies in the directory', async () => {
    await using bench = new CniBench();
    const { podId, record } = await bench.connect(randomIds.next(), { portMappings: [mapping] });
    const [, portmap] = bench.plugins.calls;
    bench.plugins.take();
    bench.write('10-pods.conflist', { ...chain, name: 'others', plugins: [{ type: 'bandwidth' }] });
    bench.network = bench.open();
    await bench.network.tearDown(ctx, podId, record);
    expect(bench.plugins.calls[1]?.conf).toEqual(portmap?.conf);
    expect(bench.plugins.calls[1]?.env['CNI_ARGS']).toBe(portmap?.env['CNI_ARGS']);
    expect(bench.plugins.take()).toEqual(['bandwidth DEL', 'portmap DEL', 'bridge DEL']);
    await bench.network.tearDown(ctx, podId, record);
    expect(bench.plugins.take()).toEqual([]);
  });

  test('that fails leaves all that the next one needs', async () => {
    await using bench = new CniBench();
    const { podId, record } = await bench.connect();
    bench.plugins.take();
    bench.plugins.instead.set('portmap DEL', failing('busy'));
    await expect(bench.network.tearDown(ctx, podId, record)).rejects.toThrow('busy');
    expect(bench.plugins.take()).toEqual(['bandwidth DEL', 'portmap DEL']);
    expect(bench.plugins.leases.size).toBe(1);
    bench.plugins.instead.clear();
    await bench.network.tearDown(ctx, podId, record);
    expect(bench.plugins.take()).toEqual(['bandwidth DEL', 'portmap DEL', 'bridge DEL']);
    expect(await bench.network.strays(ctx, new Set())).toEqual([]);
  });

  test('that a plugin answers with "unknown container" has nothing to undo there', async () => {
    await using bench = new CniBench();
    const { podId, record } = await bench.connect();
    bench.plugins.take();
    bench.plugins.instead.set('portmap DEL', failing('never heard of it', 3));
    await bench.network.tearDown(ctx, podId, record);
    expect(bench.plugins.take()).toEqual(['bandwidth DEL', 'portmap DEL', 'bridge DEL']);
    expect(bench.records.size).toBe(0);
  });

  test('of a pod that could not be made is tried again behind the caller’s back', async () => {
    await using bench = new CniBench({ retryMs: 1 });
    bench.plugins.instead.set('portmap ADD', failing('no'));
    bench.plugins.instead.set('bridge DEL', failing('not now'));
    await expect(bench.connect()).rejects.toThrow('no');
    expect(await bench.network.strays(ctx, new Set())).toHaveLength(1);
    bench.plugins.instead.clear();
    await eventually(() => bench.records.size === 0);
    expect(bench.plugins.leases.size).toBe(0);
  });

  test('of a pod that nobody remembers, made or half-made, is done by the next berthd', async () => {
    await using bench = new CniBench();
    const made = await bench.connect();
    const half = randomIds.next();
    // As if berthd was killed: the plugin has given an address, and nobody heard of it.
    const never = Promise.withResolvers<never>();
    bench.plugins.instead.set('portmap ADD', () => never.promise);
    const lost = bench.connect(half);
    lost.catch(() => undefined);
    await eventually(() => bench.plugins.calls.filter(({ type }) => type === 'portmap').length === 2);
    const next = bench.open();
    const text = `network pods of pod ${shortId(half)}`;
    expect(await next.strays(ctx, new Set([made.podId]))).toEqual([text]);
    bench.plugins.take();
    expect(await next.keepOnly(ctx, new Set([made.podId]))).toEqual([text]);
    expect(bench.plugins.take()).toEqual(['bandwidth DEL', 'portmap DEL', 'bridge DEL']);
    expect([...bench.plugins.leases.keys()]).toEqual([made.podId]);
    bench.plugins.instead.clear();
    never.reject(new Error('killed'));
    await expect(lost).rejects.toThrow('killed');
  });

  test('recovery does not wait for a plugin that cannot free what is lost', async () => {
    await using bench = new CniBench({ retryMs: 1 });
    const { podId } = await bench.connect();
    bench.plugins.instead.set('bridge DEL', failing('agent is away'));
    expect(await bench.network.keepOnly(ctx, new Set())).toEqual([]);
    bench.plugins.instead.clear();
    await eventually(() => bench.records.get(podId) === undefined);
  });

  test('what recovery had no time to begin with is freed after it', async () => {
    await using bench = new CniBench({ retryMs: 1 });
    const { podId } = await bench.connect();
    const late = createCtx({ signal: AbortSignal.abort(new Error('no time')) });
    expect(await bench.network.keepOnly(late, new Set())).toEqual([]);
    await eventually(() => bench.records.get(podId) === undefined);
  });

  test('files of namespaces without a record are found and removed', async () => {
    await using bench = new CniBench();
    const { podId } = await bench.connect();
    const other = randomIds.next();
    const file = path.join(bench.config.netnsDir, `berth-${other}`);
    const foreign = path.join(bench.config.netnsDir, 'cni-1234');
    for (const name of [file, foreign]) writeFileSync(name, '');
    expect(await bench.network.strays(ctx, new Set([podId]))).toEqual([`network namespace ${file}`]);
    expect(await bench.network.keepOnly(ctx, new Set([podId]))).toEqual([`network namespace ${file}`]);
    expect([existsSync(file), existsSync(foreign)]).toEqual([false, true]);
  });
});

describe('the configuration', () => {
  test('is waited for, with a reason; the first pod after it came finds it', async () => {
    await using bench = new CniBench();
    bench.remove('10-pods.conflist');
    await bench.network.refresh();
    const { confDir } = bench.config;
    expect(bench.network.status()).toEqual({
      ready: false,
      reason: 'NetworkPluginNotReady',
      message: `no network configuration (*.conflist, *.conf, *.json) can be used in ${confDir}`,
    });
    await expect(bench.connect()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: new RegExp(confDir) });
    bench.write('10-pods.conflist', chain);
    await bench.connect();
    const message = `network pods (${path.join(confDir, '10-pods.conflist')})`;
    expect(bench.network.status()).toEqual({ ready: true, reason: '', message });
  });

  test('is seen when it changes, without anybody asking', async () => {
    await using bench = new CniBench();
    bench.network.start();
    await eventually(() => bench.network.status().ready);
    bench.remove('10-pods.conflist');
    await eventually(() => !bench.network.status().ready);
    bench.write('20-later.conflist', chain);
    await eventually(() => bench.network.status().ready);
  });

  test('needs its programs', async () => {
    await using bench = new CniBench();
    bench.uninstall('bridge');
    bench.uninstall('portmap');
    await bench.network.refresh();
    expect(bench.network.status()).toMatchObject({ ready: false, message: /needs bridge, portmap in .*bin/ });
    bench.install('bridge');
    bench.install('portmap');
    await bench.network.refresh();
    expect(bench.network.status()).toMatchObject({ ready: true, message: /^network pods \([^;]*\)$/ });
  });

  test('once needed a program of the name that a plugin gives its own way to addresses', async () => {
    await using bench = new CniBench();
    bench.uninstall('host-local');
    await bench.network.refresh();
    expect(bench.network.status()).toMatchObject({ ready: true, message: /; its ipam host-local is no program in / });
    expect((await bench.connect()).record.addresses).toEqual(['10.9.0.2', 'fd09::2']);
  });

  test('a broken file does not stop a valid one, and is named', async () => {
    await using bench = new CniBench();
    bench.write('00-broken.conflist', '{');
    bench.write('99-other.conflist', { ...chain, name: 'other' });
    await bench.network.refresh();
    const { ready, message } = bench.network.status();
    expect(ready).toBe(true);
    expect(message).toMatch(/00-broken.conflist: it is not JSON/);
    expect(message).toMatch(/99-other.conflist comes later/);
  });

  test('a directory that appears later is found', async () => {
    await using bench = new CniBench();
    const config = { ...bench.config, confDir: path.join(bench.directory, 'nowhere') };
    bench.network = bench.open({ config });
    await bench.network.refresh();
    expect(bench.network.status()).toMatchObject({ ready: false, message: /nowhere does not exist/ });
  });
});

describe('what version 1.1 adds', () => {
  const newer = { ...chain, cniVersion: '1.1.0' };

  test('plugins say whether they could work now', async () => {
    await using bench = new CniBench({}, newer);
    bench.plugins.instead.set('portmap STATUS', failing('no iptables', 50));
    await bench.network.refresh();
    expect(bench.network.status()).toMatchObject({ ready: false, message: /portmap .*STATUS: no iptables/ });
    bench.plugins.instead.clear();
    await bench.network.refresh();
    expect(bench.network.status().ready).toBe(true);
    expect(bench.plugins.calls.at(-1)?.env['CNI_CONTAINERID']).toBeUndefined();
  });

  test('plugins are told after a start, and from time to time, which attachments there are', async () => {
    await using bench = new CniBench({ retryMs: 5, garbageMs: 5 }, newer);
    const { podId } = await bench.connect();
    bench.plugins.take();
    await bench.network.keepOnly(ctx, new Set([podId]));
    const garbage = () => bench.plugins.calls.filter(({ verb }) => verb === 'GC');
    await eventually(() => garbage().length >= 6);
    expect(
      garbage()
        .slice(0, 3)
        .map(({ type }) => type),
    ).toEqual(['bridge', 'portmap', 'bandwidth']);
    expect(garbage()[0]?.conf).toMatchObject({
      'cni.dev/valid-attachments': [{ containerID: podId, ifname: 'eth0' }],
      ...{ name: 'pods', type: 'bridge' },
    });
  });

  test('a pod waits until the garbage is collected', async () => {
    await using bench = new CniBench({}, newer);
    await bench.network.refresh();
    const collecting = Promise.withResolvers<object>();
    bench.plugins.instead.set('bridge GC', () => collecting.promise);
    await bench.network.keepOnly(ctx, new Set());
    await eventually(() => bench.plugins.calls.some(({ verb }) => verb === 'GC'));
    const connecting = bench.connect();
    // Reading everything again takes longer than beginning an ADD would.
    for (let turn = 0; turn < 5; turn++) await bench.network.refresh();
    expect(bench.plugins.calls.some(({ verb }) => verb === 'ADD')).toBe(false);
    collecting.resolve({ stdout: '' });
    await connecting;
  });

  test.each([
    ['that refuses it', { ...newer, disableGC: true }],
    ['that is older', chain],
  ])('a list %s is not asked to collect', async (_name, conf) => {
    let looks = 0;
    const clock = { monotonicMs: () => (looks += 1) };
    await using bench = new CniBench({ retryMs: 1, garbageMs: 1, clock }, conf);
    await bench.connect();
    await bench.network.keepOnly(ctx, new Set());
    await eventually(() => looks > 10);
    expect(bench.plugins.take().filter((call) => call.endsWith('GC'))).toEqual([]);
  });
});

test('berth check asks the plugins whether the networks of pods are sound', async () => {
  await using bench = new CniBench();
  const { podId } = await bench.connect();
  expect(await bench.network.strays(ctx, new Set([podId]))).toEqual([]);
  bench.plugins.instead.set('portmap CHECK', failing('rule is missing'));
  const [text] = await bench.network.strays(ctx, new Set([podId]));
  expect(text).toMatch(new RegExp(`^damaged network pods of pod ${shortId(podId)}: .*rule is missing`));
  bench.plugins.instead.set('portmap CHECK', () => ({ code: 2, stderr: 'panic: nil' }));
  expect(await bench.network.strays(ctx, new Set([podId]))).toEqual([]);
});

test('the ranges that the kubelet gave reach plugins that want them', async () => {
  const plugins = [{ type: 'bridge', capabilities: { ipRanges: true, dns: true, cgroupPath: false } }];
  await using bench = new CniBench({}, { ...chain, plugins });
  await bench.network.useSubnets(ctx, ['10.50.0.0/24', 'fd50::/64']);
  const dns = { servers: ['10.0.0.10'], searches: ['svc'], options: [] };
  await bench.connect(randomIds.next(), { dns, cgroupPath: '/pods' });
  expect(bench.plugins.calls[0]?.conf).toEqual({
    ...{ type: 'bridge', name: 'pods', cniVersion: '1.0.0' },
    runtimeConfig: { ipRanges: [[{ subnet: '10.50.0.0/24' }], [{ subnet: 'fd50::/64' }]], dns },
  });
});

test('a daemon that leaves the machine gives everything back', async () => {
  await using bench = new CniBench();
  await bench.connect();
  await bench.network.removeAll(ctx);
  expect([bench.plugins.leases.size, bench.records.size]).toEqual([0, 0]);
});
