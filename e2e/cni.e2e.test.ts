import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Berthd, startBerthd } from './harness/berthd.ts';
import { CniFiles, cniConfig } from './harness/cni.ts';
import { processes } from './harness/machine.ts';
import { shell, TestPod } from './harness/pods.ts';
import { eventually } from './harness/wait.ts';

// Pods connected by Debian's CNI plugins, and by plugins that fail in every way.

let berthd: Berthd;
let cni: CniFiles;

/** What most clusters' lists look like. */
const bridged = (): { name: string; cniVersion: string; plugins: object[] } => ({
  ...{ cniVersion: '1.0.0', name: 'bridged' },
  plugins: [
    {
      ...{ type: 'bridge', bridge: 'cnibr', isGateway: true, ipMasq: true, hairpinMode: true },
      ipam: cni.ipam('10.77.0.0/24', 'fd77::/64'),
    },
    { type: 'portmap', capabilities: { portMappings: true } },
    { type: 'bandwidth', capabilities: { bandwidth: true } },
    { type: 'firewall' },
  ],
});

/** A bridge without anything, and then another plugin. */
const followedBy = (...types: string[]): object => ({
  ...bridged(),
  plugins: [bridged().plugins[0], ...types.map((type) => ({ type }))],
});

const addressesOf = async (pod: TestPod): Promise<readonly string[]> => {
  const { status } = await berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
  const network = status?.network;
  return [network?.ip ?? '', ...(network?.additional_ips ?? []).map(({ ip }) => ip)];
};

/** What somebody at that address and port says, asked from the node. */
const ask = async (address: string, port: number): Promise<string> => {
  const line = `exec 3<>/dev/tcp/${address}/${port}; cat <&3`;
  const { stdout, stderr } = await berthd.node.run(['timeout', '5', 'bash', '-c', line]);
  return stdout || stderr;
};

const nothingLeft = async (network = 'bridged'): Promise<void> => {
  expect({ addresses: cni.addresses(network), namespaces: cni.namespaces(), strays: await berthd.strays() }).toEqual({
    ...{ addresses: [], namespaces: [], strays: [] },
  });
};

beforeAll(async () => {
  berthd = await startBerthd({ network: (node) => cniConfig(node) });
  cni = new CniFiles(berthd);
  await berthd.loadBusybox();
});
afterEach(async () => {
  await berthd.removeAllPods();
  await nothingLeft();
});
afterAll(async () => {
  await cni.removeLeftovers('cnibr');
  await berthd.teardown();
}, 120_000);

describe('without a configuration', () => {
  test('the node is not ready and says why; nothing has to be restarted when one comes', async () => {
    const reason = 'NetworkPluginNotReady';
    const missing = `no network configuration (*.conflist, *.conf, *.json) can be used in ${cni.path('net.d')}`;
    expect(await cni.networkReady()).toMatchObject({ status: false, reason, message: missing });
    await expect(TestPod.run(berthd)).rejects.toThrow(`UNAVAILABLE: the network is not ready: ${missing}`);
    // Pods on the node's network are what brings the configuration in a cluster.
    const agent = await TestPod.run(berthd, {
      linux: { security_context: { namespace_options: { network: 'NODE' } } },
    });
    expect(await agent.sh('ip -o link | wc -l')).not.toBe('');
    await cni.use({ ...bridged(), plugins: [{ type: 'bridge' }, { type: 'not-installed' }] });
    expect(await cni.networkReady()).toMatchObject({
      status: false,
      message: expect.stringContaining('needs not-installed in'),
    });
    await cni.use(bridged());
  });
});

describe('bridge, host-local, portmap, bandwidth and firewall', () => {
  test('pods of both families reach each other, and have a host port', async () => {
    const server = await TestPod.run(berthd, {
      port_mappings: [{ protocol: 'TCP', container_port: 80, host_port: 8080, host_ip: '' }],
      annotations: { 'kubernetes.io/ingress-bandwidth': '20M', 'kubernetes.io/egress-bandwidth': '10M' },
    });
    const client = await TestPod.run(berthd);
    await server.start(shell('while true; do echo hello | nc -l -p 80; done'));
    const [four = '', six = ''] = await addressesOf(server);
    expect([four, six]).toEqual([expect.stringMatching(/^10\.77\.0\./), expect.stringMatching(/^fd77::/)]);
    expect(cni.addresses('bridged')).toHaveLength(4);
    for (const address of [four, six]) {
      await eventually(`${address} answers the other pod`, async () =>
        (await client.sh(`nc -w 5 ${address} 80 </dev/null`)).includes('hello'),
      );
    }
    await eventually('the host port answers', async () => (await ask('10.77.0.1', 8080)) === 'hello\n');
    expect(await server.sh('cat /etc/hosts')).toContain(four);
    const rules = await cni.rules();
    expect(rules).toContain(`--to-destination ${four}:80`);
    expect(rules).toContain(`-A CNI-FORWARD -s ${four}/32 -j ACCEPT`);
    expect(rules).toMatch(/qdisc tbf .* rate 20Mbit/);
    expect(rules).toMatch(/qdisc tbf .* rate 10Mbit/);
    await server.stop();
    expect(await cni.rules()).not.toContain(four);
    expect(await addressesOf(server)).toEqual(['']);
    await expect(ask('10.77.0.1', 8080)).resolves.toContain('refused');
  });

  test('crictl shows the result of the plugins', async () => {
    const pod = await TestPod.run(berthd);
    const { info } = JSON.parse(await berthd.crictlOk('inspectp', '-o', 'json', pod.id)) as {
      info: { cniResult: object; network: object };
    };
    const [address] = await addressesOf(pod);
    const sandbox = cni.path('netns', `berth-${pod.id}`);
    expect(info.cniResult).toMatchObject({
      interfaces: expect.arrayContaining([expect.objectContaining({ name: 'eth0', sandbox })]),
      ips: expect.arrayContaining([expect.objectContaining({ address: `${address}/24` })]),
    });
    expect(info.network).toMatchObject({ mode: 'cni', hostInterface: expect.stringMatching(/^veth/) });
    const inside = await berthd.node.run(['nsenter', `--net=${sandbox}`, 'ip', '-br', 'addr', 'show', 'eth0']);
    expect(inside.stdout).toContain(address);
  });

  test('many pods at once get addresses of their own', async () => {
    const pods = await Promise.all(Array.from({ length: 8 }, () => TestPod.run(berthd)));
    const addresses = (await Promise.all(pods.map(addressesOf))).flat();
    expect(new Set(addresses).size).toBe(16);
    expect(await berthd.strays()).toEqual([]);
  });

  test('a pod keeps its network while berthd is away, and is torn down by what it was made with', async () => {
    const pod = await TestPod.run(berthd, {
      port_mappings: [{ protocol: 'TCP', container_port: 80, host_port: 8081, host_ip: '' }],
    });
    const [address = ''] = await addressesOf(pod);
    await berthd.restart();
    await cni.use({ cniVersion: '1.0.0', name: 'other', plugins: [{ type: 'ptp', ipam: cni.ipam('10.78.0.0/24') }] });
    expect(await addressesOf(pod)).toContain(address);
    expect((await berthd.node.run(['busybox', 'ping', '-c1', '-W5', address])).code).toBe(0);
    await cni.useNone();
    await pod.remove();
    expect(await cni.rules()).not.toContain(address);
    await nothingLeft();
    await cni.use(bridged());
  });

  test('a pod with users of its own has its network, lo included', async () => {
    const map = [{ host_id: 200_000, container_id: 0, length: 65_536 }];
    const users = { mode: 'POD', uids: map, gids: map } as const;
    const pod = await TestPod.run(berthd, {
      linux: { security_context: { namespace_options: { network: 'POD', pid: 'CONTAINER', userns_options: users } } },
    });
    const [address = ''] = await addressesOf(pod);
    expect(await pod.sh('ip -o addr')).toContain(address);
    expect(await pod.sh('ip -o link show lo')).toContain('LOOPBACK,UP');
    expect((await berthd.node.run(['busybox', 'ping', '-c1', '-W5', address])).code).toBe(0);
  });

  test('a pod whose namespace is gone can be torn down', async () => {
    const pod = await TestPod.run(berthd);
    await berthd.node.run(['umount', '-l', cni.path('netns', `berth-${pod.id}`)]);
    await pod.remove();
    await nothingLeft();
  });
});

test.each([undefined, '0.2.0'])(
  'a configuration of version %s: a result of that form, and a setting of its interface',
  async (cniVersion) => {
    const plugin = { ...{ type: 'ptp', name: 'old' }, ipam: cni.ipam('10.79.0.0/24') };
    await cni.use({ ...plugin, ...(cniVersion && { cniVersion }) });
    const pod = await TestPod.run(berthd, { linux: { sysctls: { 'net.ipv4.conf.eth0.arp_ignore': '1' } } });
    const [address = ''] = await addressesOf(pod);
    expect(await pod.sh('ip -o -4 addr show eth0; cat /proc/sys/net/ipv4/conf/eth0/arp_ignore')).toMatch(
      new RegExp(`inet ${address}/24 .*\n1\n$`),
    );
    const wrong = TestPod.run(berthd, { linux: { sysctls: { 'net.ipv4.conf.eth7.arp_ignore': '1' } } });
    await expect(wrong).rejects.toThrow('sysctl net.ipv4.conf.eth7.arp_ignore: the pod has no such interface');
    await pod.remove();
    await nothingLeft('old');
  },
);

test('ptp, in both families', async () => {
  await cni.use({
    ...{ cniVersion: '0.4.0', name: 'points' },
    plugins: [{ type: 'ptp', ipMasq: true, ipam: cni.ipam('10.79.0.0/24', 'fd79::/64') }],
  });
  const [one, other] = [await TestPod.run(berthd), await TestPod.run(berthd)];
  await berthd.node.run(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  const [four = '', six = ''] = await addressesOf(other);
  expect(six).toMatch(/^fd79::/);
  expect(await one.sh(`ping -c1 -W5 ${four}`)).toContain(' 0% packet loss');
  expect((await berthd.node.run(['busybox', 'ping', '-c1', '-W5', six])).code).toBe(0);
  await Promise.all([one.remove(), other.remove()]);
  await nothingLeft('points');
});

describe('a plugin that', () => {
  test.each([
    [
      'fails',
      `echo '{"cniVersion":"1.0.0","code":101,"msg":"no room","details":"ask later"}'; exit 1`,
      'ADD: no room; ask later',
    ],
    ['fails without a word', 'exit 3', 'ADD failed with exit code 3'],
    ['prints no JSON', 'echo all is well', 'ADD printed no JSON'],
    ['lies about an address', `echo '{"cniVersion":"1.0.0","ips":[{"address":"localhost/8"}]}'`, 'ADD printed address'],
    ['forgets the addresses', `echo '{"cniVersion":"1.0.0"}'`, 'no address on eth0'],
    ['floods', 'head -c 10000000 /dev/zero', 'wrote more than'],
  ])('%s fails the pod with its name and words, and leaves nothing', async (_what, line, words) => {
    cni.script('bad', `[ $CNI_COMMAND = ADD ] || exit 0\n${line}`);
    await cni.use(followedBy('bad'));
    const failure = await TestPod.run(berthd).then(() => 'none', String);
    expect(failure).toContain(words);
    expect(words === 'no address on eth0' || failure.includes(`network plugin bad (${cni.path('bin/bad')})`)).toBe(
      true,
    );
    await nothingLeft();
  });

  test('hangs is killed with what it started', async () => {
    const text = readFileSync(berthd.configFile, 'utf8');
    writeFileSync(berthd.configFile, text.replace(/cni_timeout = .*/, 'cni_timeout = "1s"'));
    await berthd.restart();
    const sleeper = `sleep 7${process.pid}`;
    cni.script('bad', `[ $CNI_COMMAND = ADD ] || exit 0\n${sleeper} & wait`);
    await cni.use(followedBy('bad'));
    await expect(TestPod.run(berthd)).rejects.toThrow(
      /DEADLINE_EXCEEDED: network plugin bad .* ADD did not finish in 1000 ms/,
    );
    await eventually(
      'nothing of it runs',
      () =>
        processes(({ commandLine }) => commandLine.includes(cni.path('bin/bad')) || commandLine === sleeper).length ===
        0,
    );
    await nothingLeft();
    writeFileSync(berthd.configFile, text);
    await berthd.restart();
  });

  test('cannot delete makes the stop fail until it can', async () => {
    cni.script(
      'bad',
      `[ $CNI_COMMAND = ADD ] && printf %s "$before"; [ $CNI_COMMAND = DEL ] && [ -e ${cni.path('no')} ] && { echo cannot >&2; exit 1; }; exit 0`,
    );
    await cni.use(followedBy('bad'));
    const pod = await TestPod.run(berthd);
    writeFileSync(cni.path('no'), '');
    await expect(pod.stop()).rejects.toThrow('DEL failed with exit code 1: cannot');
    expect(cni.addresses('bridged')).toHaveLength(2);
    await expect(pod.remove()).rejects.toThrow('cannot');
    // Another berthd knows as much, whatever the directory says by now.
    await cni.use(bridged());
    await berthd.restart();
    await berthd.node.run(['rm', cni.path('no')]);
    await pod.stop();
    await nothingLeft();
    await pod.remove();
  });
});

test('a kill -9 between ADD and the pod’s record leaks no address and no namespace', async () => {
  const reached = cni.path('reached');
  // It ends only by being killed: what it would do after the DEL, nobody would undo.
  cni.script('slow', `[ $CNI_COMMAND = ADD ] || exit 0; : >${reached}; sleep 1000 & wait`);
  await cni.use(followedBy('slow'));
  const lost = TestPod.run(berthd).then(
    () => 'made',
    () => 'lost',
  );
  await eventually('the second plugin runs', () => existsSync(reached));
  expect(cni.addresses('bridged')).toHaveLength(2);
  expect(cni.namespaces()).toHaveLength(1);
  await berthd.kill9();
  expect(await lost).toBe('lost');
  await berthd.start();
  expect(processes(({ commandLine }) => commandLine.includes(cni.path('bin/slow')))).toEqual([]);
  await nothingLeft();
  const { items } = await berthd.cri.runtime.listPodSandbox({});
  expect(items).toEqual([]);
  await cni.use(bridged());
});

test('when the mode changes, each pod is torn down by whoever made it', async () => {
  const bridgedPod = await TestPod.run(berthd);
  const text = readFileSync(berthd.configFile, 'utf8');
  writeFileSync(berthd.configFile, text.replace('mode = "cni"', 'mode = "builtin"'));
  await berthd.restart();
  const builtin = await TestPod.run(berthd);
  expect((await addressesOf(builtin))[0]).toMatch(/^10\.89\./);
  expect((await addressesOf(bridgedPod))[0]).toMatch(/^10\.77\./);
  await bridgedPod.remove();
  await nothingLeft();
  writeFileSync(berthd.configFile, text);
  await berthd.restart();
  expect((await addressesOf(builtin))[0]).toMatch(/^10\.89\./);
  await builtin.remove();
  const again = await TestPod.run(berthd);
  expect((await addressesOf(again))[0]).toMatch(/^10\.77\./);
  await berthd.node.run(['ip', 'link', 'delete', `bb${berthd.node.id}`]);
});
