import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { PodSandboxConfig } from '#cri-api/gen/runtime/v1/PodSandboxConfig';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import type { CommandResult } from './harness/command.ts';
import { ownUsers, shell, TestPod, type TestContainer } from './harness/pods.ts';
import { pausePidOf } from './harness/port-server.ts';
import { eventually } from './harness/wait.ts';

// Every container may send raw packets (NET_RAW is a default capability), and pods of the built-in network are on one
// bridge. What one of them says about routes counts for none of the others.

// Type 134, hop limit 64, preference high, 30 minutes; a /64 for addresses of its own.
const advertise = `
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
router = struct.pack('!BBHBBHII', 134, 0, 0, 64, 8, 1800, 0, 0)
prefix = struct.pack('!BBBBIII', 3, 4, 64, 0xc0, 1800, 1800, 0) + socket.inet_pton(socket.AF_INET6, '2001:db8:66::')
s.sendto(router + prefix, ('ff02::1', 0, 0, socket.if_nametoindex('eth0')))
`;
const listening: PodSandboxConfig = { linux: { sysctls: { 'net.ipv6.conf.eth0.accept_ra': '1' } } };

let berthd: Berthd;
let sender: TestPod;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  sender = await TestPod.run(berthd);
  // Flag 0x40: not known yet to be its own. An advertisement from another address than this one counts for nobody.
  await eventually('a link-local address to send from', async () =>
    /^fe80.* (?!40)\d\d +eth0$/m.test((await inSender(['cat', '/proc/net/if_inet6'])).stdout),
  );
});
afterAll(() => berthd.teardown());

const start = async (config: PodSandboxConfig): Promise<TestContainer> =>
  (await TestPod.run(berthd, config)).start(shell('sleep 1000'));
const inSender = async (command: readonly string[]): Promise<CommandResult> =>
  berthd.node.run(['nsenter', '-t', String(await pausePidOf(sender)), '-n', ...command]);
const routes = async (container: TestContainer): Promise<string[]> =>
  (await container.sh('grep -v " lo$" /proc/net/ipv6_route')).trim().split('\n');

/** Until it has been heard. */
async function advertiseTo(container: TestContainer): Promise<void> {
  await eventually('the advertisement is heard', async () => {
    expect(await inSender(['python3', '-c', advertise])).toMatchObject({ code: 0 });
    return Number(await container.sh('sed -n "s/^Icmp6InRouterAdvertisements *//p" /proc/net/snmp6')) > 0;
  });
}

test.each([
  ['', {}],
  [' with users of its own', ownUsers],
])('a pod%s takes no route, router or address from another', async (_name, config) => {
  const container = await start(config);
  await advertiseTo(container);
  const after = await routes(container);
  expect(after.join('\n')).toContain('eth0');
  expect(after.filter((route) => route.startsWith(`${'0'.repeat(32)} 00 `) && route.includes('fe80'))).toEqual([]);
  expect(after.filter((route) => route.startsWith('20010db80066'))).toEqual([]);
  const refused = 'cd /proc/sys/net; cat ipv6/conf/eth0/accept_redirects ipv4/conf/all/accept_redirects';
  expect(await container.sh(`${refused} ipv4/conf/eth0/accept_redirects`)).toBe('0\n0\n0\n');
});

test.each([
  ['', {}],
  [' with users of its own', ownUsers],
])('one%s that asks for it does', async (_name, { linux }: PodSandboxConfig) => {
  const container = await start({ linux: { ...linux, ...listening.linux } });
  await advertiseTo(container);
  const after = await routes(container);
  expect(after.filter((route) => route.startsWith(`${'0'.repeat(32)} 00 `) && route.includes('fe80'))).toHaveLength(1);
});
