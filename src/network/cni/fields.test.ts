import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { randomIds } from '#base/ids';
import { chain, CniBench } from './cni-network.fixture.ts';
import {
  capabilityFields,
  configurationFields,
  pluginFields,
  resultFields,
  resultVersions,
  type FieldRow,
} from './fields.ts';

const ctx = createCtx();
const mapping = { protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '' } as const;

type Json = Readonly<Record<string, unknown>>;
type Proof = () => Promise<void> | void;

const pod = {
  namespace: 'ns',
  name: 'web',
  uid: 'u1',
  annotations: { 'kubernetes.io/egress-bandwidth': '10M', other: 'yes' },
};

/** What `bridge` reads when a pod is connected by that configuration. */
async function told(conf: Json): Promise<Json> {
  await using bench = new CniBench({}, { ...chain, ...conf });
  await bench.network.useSubnets(ctx, ['10.9.0.0/16']);
  const dns = { servers: ['10.0.0.10'], searches: ['local'], options: ['ndots:5'] };
  await bench.connect(randomIds.next(), { pod, dns, portMappings: [mapping], cgroupPath: '/kubepods/pod1' });
  return bench.plugins.calls[0]?.conf ?? {};
}

const bridge = (more: Json): Json => ({ plugins: [{ type: 'bridge', ...more }] });

/** What is made of a result that `bridge` prints, and what the plugin after it is told of it. */
async function made(result: Json, cniVersion = '1.0.0'): Promise<{ record: Json; next: Json }> {
  await using bench = new CniBench({}, { ...chain, cniVersion, plugins: [{ type: 'bridge' }, { type: 'portmap' }] });
  bench.plugins.instead.set('bridge ADD', () => ({ code: 'code' in result ? 1 : 0, stdout: JSON.stringify(result) }));
  const { record } = await bench.connect();
  const told = bench.plugins.calls.find(({ type, verb }) => type === 'portmap' && verb === 'ADD');
  return { record: record as unknown as Json, next: told?.conf['prevResult'] as Json };
}

/** The message of NetworkReady, or why a pod is not connected. */
async function why(conf: Json): Promise<string> {
  await using bench = new CniBench({}, conf);
  await bench.network.refresh();
  return bench.network.status().message;
}

const flagged = async (name: string): Promise<void> => {
  for (const value of [true, 'true', 'True', false, 'false'])
    expect(await why({ ...chain, [name]: value })).toMatch(/^network pods \([^;]*\)$/);
  expect(await why({ ...chain, [name]: 'perhaps' })).toContain(`"${name}" has to be true or false`);
};

const runtimeConfig = async (capability: string, value: unknown): Promise<void> => {
  const conf = await told(bridge({ capabilities: { [capability]: true }, runtimeConfig: { written: true } }));
  expect(conf['runtimeConfig']).toEqual({ [capability]: value });
  const off = await told(bridge({ capabilities: { [capability]: false } }));
  expect(off).not.toHaveProperty('runtimeConfig');
};

const asWritten = (capability: string) => async (): Promise<void> => {
  const written = { [capability]: 'as written' };
  const conf = await told(bridge({ capabilities: { [capability]: true }, runtimeConfig: written }));
  expect(conf['runtimeConfig']).toEqual(written);
};

const handedOn = (value: Json) => async (): Promise<void> => {
  expect(await told(bridge(value))).toMatchObject(value);
};

const eth0 = { name: 'eth0', sandbox: '/n' };
const ips = [{ address: '10.9.0.7/16', interface: 0 }];
const good = { cniVersion: '1.0.0', interfaces: [eth0], ips };

const keptInResult = (value: Json) => async (): Promise<void> => {
  const { record, next } = await made({ ...good, ...value });
  expect(next).toMatchObject(value);
  expect(JSON.parse((record['cni'] as { result: string }).result)).toMatchObject(value);
};

const inVersion = (version: string) => async (): Promise<void> => {
  const { next } = await made({ ...good, cniVersion: version }, version === '1.0.0' ? '1.1.0' : '1.0.0');
  expect(next).toMatchObject({ interfaces: [eth0], ips });
  const back = await made(good, version);
  expect(back.next['ips']).toEqual([{ ...(version.startsWith('0') && { version: '4' }), ...ips[0] }]);
};

const inFlatVersion = (version: string) => async (): Promise<void> => {
  const { record, next } = await made({ cniVersion: version, ip4: { ip: '10.9.0.7/16' } });
  expect(record).toMatchObject({ addresses: ['10.9.0.7'] });
  expect(next).toMatchObject({ cniVersion: '1.0.0', ips: [{ address: '10.9.0.7/16' }] });
};

const tables: readonly (readonly [string, readonly FieldRow[], Readonly<Record<string, Proof>>])[] = [
  [
    'a configuration',
    configurationFields,
    {
      cniVersion: async () => expect(await told({ cniVersion: '0.4.0' })).toMatchObject({ cniVersion: '0.4.0' }),
      cniVersions: async () =>
        expect(await told({ cniVersion: '0.4.0', cniVersions: ['1.0.0', '9.0.0'] })).toMatchObject({
          cniVersion: '1.0.0',
        }),
      name: async () => expect(await told({ name: 'other' })).toMatchObject({ name: 'other' }),
      disableCheck: () => flagged('disableCheck'),
      disableGC: () => flagged('disableGC'),
      loadOnlyInlinedPlugins: () => flagged('loadOnlyInlinedPlugins'),
      plugins: async () => expect(await why({ ...chain, plugins: [] })).toContain('it has no plugins'),
    },
  ],
  [
    'a plugin',
    pluginFields,
    {
      type: async () => expect(await why({ ...chain, ...bridge({ type: 'none' }) })).toContain('needs none in'),
      capabilities: async () => expect(await told(bridge({ capabilities: {} }))).not.toHaveProperty('capabilities'),
      runtimeConfig: async () => {
        const conf = await told(bridge({ runtimeConfig: { own: 1 } }));
        expect(conf['runtimeConfig']).toEqual({ own: 1 });
      },
      prevResult: async () => expect(await told(bridge({ prevResult: {} }))).not.toHaveProperty('prevResult'),
      args: handedOn({ args: { cni: { a: 'b' } } }),
      'cni.dev/…': async () => expect(Object.keys(await told(bridge({ 'cni.dev/x': 1 })))).not.toContain('cni.dev/x'),
      'ipam.type': handedOn({ ipam: { type: 'none' } }),
      ipMasq: handedOn({ ipMasq: true }),
      dns: handedOn({ dns: { nameservers: ['10.0.0.1'] } }),
    },
  ],
  [
    'a capability',
    capabilityFields,
    {
      portMappings: () => runtimeConfig('portMappings', [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]),
      bandwidth: () => runtimeConfig('bandwidth', { egressRate: 10_000_000, egressBurst: 4_294_967_295 }),
      dns: () => runtimeConfig('dns', { servers: ['10.0.0.10'], searches: ['local'], options: ['ndots:5'] }),
      ipRanges: () => runtimeConfig('ipRanges', [[{ subnet: '10.9.0.0/16' }]]),
      cgroupPath: () => runtimeConfig('cgroupPath', '/kubepods/pod1'),
      'io.kubernetes.cri.pod-annotations': () => runtimeConfig('io.kubernetes.cri.pod-annotations', pod.annotations),
      mac: asWritten('mac'),
      ips: asWritten('ips'),
      aliases: asWritten('aliases'),
      infinibandGUID: asWritten('infinibandGUID'),
      deviceID: asWritten('deviceID'),
    },
  ],
  [
    'a result',
    resultFields,
    {
      cniVersion: async () =>
        expect((await made({ interfaces: [eth0], ips })).next).toMatchObject({ cniVersion: '1.0.0', ips }),
      'interfaces[].name': async () =>
        expect(
          (
            await made({
              ...good,
              interfaces: [eth0, { name: 'net1', sandbox: '/n' }],
              ips: [...ips, { address: '10.1.0.1/8', interface: 1 }],
            })
          ).record,
        ).toMatchObject({ addresses: ['10.9.0.7'] }),
      'interfaces[].sandbox': async () => {
        const interfaces = [{ name: 'cni0' }, { name: 'veth7' }, eth0];
        const { record } = await made({ ...good, interfaces, ips: [{ address: '10.9.0.7/16', interface: 2 }] });
        expect(record).toMatchObject({ hostInterface: 'veth7' });
      },
      'interfaces[].mac, mtu, socketPath, pciID': keptInResult({
        interfaces: [{ ...eth0, mac: '02:00:00:00:00:01', mtu: 1400, socketPath: '/s', pciID: '0000:00:1f.6' }],
      }),
      'ips[].address': async () =>
        expect((await made({ ...good, ips: [{ address: 'fd00::7/64' }, ...ips] })).record).toMatchObject({
          addresses: ['fd00::7', '10.9.0.7'],
        }),
      'ips[].interface': async () =>
        expect((await made({ ...good, ips: [...ips, { address: '10.1.0.1/8', interface: 1 }] })).record).toMatchObject({
          addresses: ['10.9.0.7'],
        }),
      'ips[].version': async () =>
        expect((await made({ ...good, ips: [{ ...ips[0], version: '4' }] })).next['ips']).toEqual(ips),
      'ips[].gateway': keptInResult({ ips: [{ ...ips[0], gateway: '10.9.0.1' }] }),
      'ip4, ip6': inFlatVersion('0.2.0'),
      routes: keptInResult({ routes: [{ dst: '0.0.0.0/0', gw: '10.9.0.1', mtu: 1400, scope: 0 }] }),
      dns: keptInResult({ dns: { nameservers: ['10.9.0.1'] } }),
      'code, msg, details': async () => {
        const error = { code: 7, msg: 'Invalid Configuration', details: 'too small' };
        await expect(made(error)).rejects.toThrow('Invalid Configuration; too small (code 7)');
      },
    },
  ],
  [
    'a version of a result',
    resultVersions,
    {
      none: async () => {
        expect((await made({ interfaces: [eth0], ips })).next).toMatchObject({ ips });
        expect((await made({ ip4: { ip: '10.9.0.7/16' } })).next).toMatchObject({ ips: [{ address: '10.9.0.7/16' }] });
      },
      '0.1.0': inFlatVersion('0.1.0'),
      '0.2.0': inFlatVersion('0.2.0'),
      '0.3.0': inVersion('0.3.0'),
      '0.3.1': inVersion('0.3.1'),
      '0.4.0': inVersion('0.4.0'),
      '1.0.0': inVersion('1.0.0'),
      '1.1.0': inVersion('1.1.0'),
      'any other': () => expect(made({ ...good, cniVersion: '0.5.0' })).rejects.toThrow('a result of version "0.5.0"'),
    },
  ],
];

describe.each(tables)('of %s', (_what, rows, proofs) => {
  test('every field has a proof of what becomes of it', () => {
    expect(Object.keys(proofs)).toEqual(rows.map(({ field }) => field));
  });

  test.each(rows.map((row) => [row.field, row.fate, row.what] as const))('%s: %s', async (field) => {
    await proofs[field]?.();
  });
});

test('fields that nobody knows are accepted, and told to the plugin', async () => {
  const conf = { ...bridge({ brand: { new: true } }), alsoNew: 1 };
  expect(await told(conf)).toMatchObject({ brand: { new: true } });
  await keptInResult({ brand: 'new' })();
});

describe('fields that nobody knows are counted', () => {
  async function counted(bench: CniBench): Promise<readonly string[]> {
    const lines = (await bench.metrics.text()).split('\n');
    return lines.filter((line) => line.startsWith('berth_cni_unknown_fields_total{'));
  }
  const ofConfiguration = (count: number) => `berth_cni_unknown_fields_total{document="configuration"} ${count}`;
  const ofResult = (count: number) => `berth_cni_unknown_fields_total{document="result"} ${count}`;

  test.each<[string, Json, number]>([
    ['none, where plugins have keys of their own', chain, 0],
    ['of a list', { ...chain, cniVersions: ['1.0.0'], alsoNew: 1, Name: 'x' }, 2],
    ['capabilities that a plugin declares', { ...chain, ...bridge({ capabilities: { dns: true, colour: true } }) }, 1],
    ['not those of one plugin that stands for itself', { cniVersion: '1.0.0', name: 'n', type: 'bridge', new: 1 }, 0],
  ])('of a configuration: %s', async (_what, conf, count) => {
    await using bench = new CniBench({}, conf);
    await bench.network.refresh();
    expect(await counted(bench)).toEqual([ofConfiguration(count)]);
  });

  test('of a configuration again when it is another one, and not each time that it is read', async () => {
    await using bench = new CniBench({}, { ...chain, alsoNew: 1 });
    for (let times = 0; times < 3; times += 1) await bench.network.refresh();
    expect(await counted(bench)).toEqual([ofConfiguration(1)]);
    bench.write('10-pods.conflist', { ...chain, alsoNew: 1, evenNewer: 1 });
    await bench.network.refresh();
    expect(await counted(bench)).toEqual([ofConfiguration(3)]);
  });

  test.each<[string, Json, number]>([
    ['none', { ...good, dns: { search: ['x'] }, routes: [{ dst: '0.0.0.0/0', mtu: 1 }] }, 0],
    [
      'at the top, in interfaces, addresses, routes and dns',
      {
        ...{ cniVersion: '1.0.0', brand: { new: 1, newer: 2 } },
        interfaces: [{ ...eth0, new: 1 }],
        ips: [{ ...ips[0], new: 1 }],
        ...{ routes: [{ dst: '0.0.0.0/0', new: 1 }], dns: { new: 1 } },
      },
      5,
    ],
    ['of one with an address of each family', { cniVersion: '0.2.0', ip4: { ip: '10.9.0.7/16', new: 1 } }, 1],
  ])('of a result: %s', async (_what, result, count) => {
    await using bench = new CniBench({}, { ...chain, ...bridge({}) });
    bench.plugins.instead.set('bridge ADD', () => ({ code: 0, stdout: JSON.stringify(result) }));
    await bench.connect();
    expect(await counted(bench)).toEqual([ofConfiguration(0), ofResult(count)]);
  });

  test('of a result before the last one, whose plugin may have left them out', async () => {
    await using bench = new CniBench({}, { ...chain, plugins: [{ type: 'bridge' }, { type: 'portmap' }] });
    bench.plugins.instead.set('bridge ADD', () => ({ code: 0, stdout: JSON.stringify({ ...good, new: 1 }) }));
    bench.plugins.instead.set('portmap ADD', () => ({ code: 0, stdout: JSON.stringify(good) }));
    await bench.connect();
    expect(await counted(bench)).toContain(ofResult(1));
  });
});

test('docs/network.md shows the tables', () => {
  const docs = readFileSync('docs/network.md', 'utf8').replaceAll(/ +\|/g, ' |');
  for (const [, rows] of tables) {
    for (const { field, fate, what } of rows) expect(docs).toContain(`| \`${field}\` | ${fate} | ${what} |`);
  }
});
