import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { PortMapping } from '#cri-api/gen/runtime/v1/PortMapping';
import { type Berthd, startBerthd } from './harness/berthd.ts';
import { run } from './harness/command.ts';
import { shell, TestPod } from './harness/pods.ts';
import { pausePidOf, PortServer } from './harness/port-server.ts';
import { eventually } from './harness/wait.ts';

// Ports of the node that lead to pods, from wherever they can be asked. "outside" is another machine: a namespace with
// a wire to the node.
const nodeAddress = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;
const outsideAddress = { 4: '192.0.2.2', 6: '2001:db8::2' } as const;

let berthd: Berthd;
let outside: ChildProcess;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  outside = spawn('unshare', ['-n', 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const own = await berthd.node.run(['readlink', '/proc/self/ns/net']);
  const theirs = (): Promise<string> => run(['readlink', `/proc/${outside.pid}/ns/net`]).then(({ stdout }) => stdout);
  const mine = (await run(['readlink', '/proc/self/ns/net'])).stdout;
  await eventually('the namespace outside', async () => ![own.stdout, mine, ''].includes(await theirs()));
  await inNode(`ip link add wire type veth peer name wire netns ${outside.pid}`);
  await inNode(`ip addr add ${nodeAddress[4]}/24 dev wire; ip addr add ${nodeAddress[6]}/64 dev wire nodad`);
  await inNode('ip link set wire up');
  const line = `ip addr add ${outsideAddress[4]}/24 dev wire; ip addr add ${outsideAddress[6]}/64 dev wire nodad; ip link set wire up`;
  expect(await run(enterOutside(['sh', '-ec', line]))).toMatchObject({ code: 0 });
});
afterAll(async () => {
  await berthd.node.run(['ip', 'link', 'del', 'wire']);
  outside.kill('SIGKILL');
  await berthd.teardown();
}, 120_000);

describe('a pod with ports of the node', () => {
  let pod: TestPod;
  let server: PortServer;
  beforeAll(async () => {
    pod = await TestPod.run(berthd, {
      port_mappings: [
        mapping('TCP', 80, 8080),
        mapping('UDP', 80, 8053),
        mapping('TCP', 80, 8443, '127.0.0.1'),
        mapping('TCP', 80, 8444, nodeAddress[4]),
        mapping('TCP', 80, 8446, nodeAddress[6]),
        mapping('TCP', 80, 0),
        mapping('TCP', 80, 8447, `::ffff:${nodeAddress[4]}`),
        mapping('TCP', 80, 8448, '::9.8.7.6'),
      ],
    });
    server = await PortServer.inPod(pod, 'one', 80);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await pod.remove();
  });

  test('is reached at an IPv4 address that is written as an IPv6 one, and has no stranger in its table', async () => {
    expect(await ask(fromNode, 'TCP', nodeAddress[4], 8447)).toBe(`one ${nodeAddress[4]}`);
    expect(await berthd.strays()).toEqual([]);
  });

  test.each([
    ['TCP', 8080],
    ['UDP', 8053],
  ] as const)('is reached by %s from the node: by its addresses, by localhost', async (protocol, port) => {
    expect(await ask(fromNode, protocol, nodeAddress[4], port)).toBe(`one ${nodeAddress[4]}`);
    expect(await ask(fromNode, protocol, nodeAddress[6], port)).toBe(`one ${nodeAddress[6]}`);
    expect(await ask(fromNode, protocol, '127.0.0.1', port)).toBe('one 10.89.0.1');
  });

  test.each([
    ['TCP', 8080],
    ['UDP', 8053],
  ] as const)('is reached by %s from outside, and sees who asks', async (protocol, port) => {
    for (const family of [4, 6] as const) {
      expect(await ask(enterOutside, protocol, nodeAddress[family], port)).toBe(`one ${outsideAddress[family]}`);
    }
  });

  test('is reached from another pod and from itself, by both families', async () => {
    const other = await TestPod.run(berthd);
    for (const from of [other, pod]) {
      const enter = await inPod(from);
      expect(await ask(enter, 'TCP', nodeAddress[4], 8080)).toBe('one 10.89.0.1');
      expect(await ask(enter, 'TCP', nodeAddress[6], 8080)).toBe('one fd89::1');
      expect(await ask(enter, 'UDP', '10.89.0.1', 8053)).toBe('one 10.89.0.1');
    }
    await other.remove();
  });

  test('with a host IP is reached there alone', async () => {
    expect(await ask(fromNode, 'TCP', '127.0.0.1', 8443)).toBe('one 10.89.0.1');
    expect(await ask(fromNode, 'TCP', nodeAddress[4], 8443)).toBe('ECONNREFUSED');
    expect(await ask(enterOutside, 'TCP', nodeAddress[4], 8443)).toBe('ECONNREFUSED');
    expect(await ask(enterOutside, 'TCP', nodeAddress[4], 8444)).toBe(`one ${outsideAddress[4]}`);
    expect(await ask(enterOutside, 'TCP', nodeAddress[6], 8444)).toBe('ECONNREFUSED');
    expect(await ask(fromNode, 'TCP', '127.0.0.1', 8444)).toBe('ECONNREFUSED');
    expect(await ask(enterOutside, 'TCP', nodeAddress[6], 8446)).toBe(`one ${outsideAddress[6]}`);
  });

  test('is refused at ::1, so that clients of "localhost" go on to 127.0.0.1', async () => {
    expect(await ask(fromNode, 'TCP', '::1', 8080)).toBe('ECONNREFUSED');
  });

  test('does not open localhost of the node to pods', async () => {
    const secret = await PortServer.start(fromNode([]), 'secret', 9999);
    const enter = await inPod(pod);
    // A pod that is root in its network sends what is meant for 127.0.0.1 to the bridge.
    const script =
      'ip addr del 127.0.0.1/8 dev lo; ip route flush table local 127.0.0.0/8; ip route add 127.0.0.1 via 10.89.0.1 dev eth0';
    await run(enter(['sh', '-c', `sysctl -qw net.ipv4.conf.eth0.route_localnet=1; ${script}`]));
    expect(await ask(enter, 'TCP', '127.0.0.1', 9999)).not.toContain('secret');
    // That it is the table which keeps it out, and the next berthd which mends it.
    await inNode(`nft flush chain inet berth${berthd.node.id} guard`);
    expect(await ask(enter, 'TCP', '127.0.0.1', 9999)).toContain('secret');
    await berthd.restart();
    expect(await ask(enter, 'TCP', '127.0.0.1', 9999)).not.toContain('secret');
    expect(await ask(fromNode, 'TCP', '127.0.0.1', 9999)).toBe('secret 127.0.0.1');
    await secret[Symbol.asyncDispose]();
  });

  test('keeps its ports while berthd is dead, and with the next one', async () => {
    await berthd.kill9();
    expect(await ask(enterOutside, 'TCP', nodeAddress[4], 8080)).toBe(`one ${outsideAddress[4]}`);
    await berthd.start();
    expect(await ask(enterOutside, 'TCP', nodeAddress[4], 8080)).toBe(`one ${outsideAddress[4]}`);
    expect(await ask(fromNode, 'TCP', '127.0.0.1', 8443)).toBe('one 10.89.0.1');
    expect(await berthd.strays()).toEqual([]);
  });

  test('is named to the next pod that wants one of them, and to one that asks for it in vain', async () => {
    for (const hostIp of ['', '127.0.0.1', '::']) {
      const second = TestPod.run(berthd, { port_mappings: [mapping('TCP', 80, 8080, hostIp)] });
      await expect(second).rejects.toThrow(new RegExp(`FAILED_PRECONDITION.*8080.*in use.*${pod.id}`));
    }
    const refused = TestPod.run(berthd, { port_mappings: [mapping('TCP', 80, 8088, '::1')] });
    await expect(refused).rejects.toThrow(/INVALID_ARGUMENT.*127\.0\.0\.1/);
    const free = await TestPod.run(berthd, { port_mappings: [mapping('UDP', 80, 8080)] });
    await free.remove();
    expect(await berthd.strays()).toEqual([]);
  });

  test('what others put into the table is seen, and gone with the next start', async () => {
    const table = `berth${berthd.node.id}`;
    await inNode(`nft add element inet ${table} ports4 '{ tcp . 7777 : 10.89.0.99 . 7 }'`);
    expect(await berthd.strays()).toEqual([`host port element ports4 tcp 7777 10.89.0.99 7 in table ${table}`]);
    await berthd.restart();
    expect(await berthd.strays()).toEqual([]);
  });

  test('of SCTP leads to the pod as well', async () => {
    const sctp = await TestPod.run(berthd, { port_mappings: [mapping('SCTP', 9, 3868)] });
    const table = await berthd.node.run(['nft', 'list', 'map', 'inet', `berth${berthd.node.id}`, 'ports4']);
    expect(table.stdout).toMatch(/sctp \. 3868 : 10\.89\.0\.\d+ \. 9/);
    if (!/^SCTP /m.test(readFileSync('/proc/net/protocols', 'utf8'))) {
      console.warn('only the rule was looked at: this kernel has no SCTP sockets (CONFIG_IP_SCTP)');
    }
    await sctp.remove();
  });
});

describe('a port that was a pod’s', () => {
  test('is free when the pod is stopped', async () => {
    const pod = await TestPod.run(berthd, { port_mappings: [mapping('TCP', 8080, 8090)] });
    const web = await pod.start(shell('mkdir /tmp/www; echo hi > /tmp/www/x; httpd -f -p 8080 -h /tmp/www'));
    await eventually('the web server answers', async () => (await fetchPage(8090)) === 'hi\n');
    await web.stop();
    await pod.stop();
    expect(await ask(fromNode, 'TCP', nodeAddress[4], 8090)).toBe('ECONNREFUSED');
    const next = await TestPod.run(berthd, { port_mappings: [mapping('TCP', 8080, 8090)] });
    await Promise.all([pod.remove(), next.remove()]);
    const table = await berthd.node.run(['nft', 'list', 'map', 'inet', `berth${berthd.node.id}`, 'ports4']);
    expect(table.stdout).not.toContain('8090');
  });

  test('and goes to the next one takes a flow of datagrams along that never stopped', async () => {
    const port_mappings = [mapping('UDP', 80, 8100)];
    const flow = new Flow();
    try {
      await flow.start();
      for (const name of ['first', 'second']) {
        const pod = await TestPod.run(berthd, { port_mappings });
        const server = await PortServer.inPod(pod, name, 80);
        await eventually(
          `the ${name} pod answers the flow`,
          () => flow.last === `${name} ${outsideAddress[4]}`,
          10_000,
        );
        await pod.remove();
        await server[Symbol.asyncDispose]();
      }
    } finally {
      await flow.end();
    }
  });

  test('many pods at once have their ports at once', async () => {
    const pods = await Promise.all(
      Array.from({ length: 10 }, (_, at) => TestPod.run(berthd, { port_mappings: [mapping('TCP', 80, 8200 + at)] })),
    );
    const map = await berthd.node.run(['nft', 'list', 'map', 'inet', `berth${berthd.node.id}`, 'ports4']);
    for (const at of pods.keys()) expect(map.stdout).toContain(`tcp . ${8200 + at} :`);
    await Promise.all(pods.map((each) => each.remove()));
  });
});

/** From one port, without a pause, from outside. */
class Flow {
  #process: ChildProcess | undefined;
  last = '';

  async start(): Promise<void> {
    const script = `
      const socket = require('node:dgram').createSocket('udp4');
      socket.on('message', (text) => console.log(String(text))).on('error', () => undefined);
      socket.bind(40000, () => setInterval(() => socket.send('x', 8100, process.argv[1]), 50));
    `;
    const [file = '', ...args] = enterOutside([process.execPath, '-e', script, nodeAddress[4]]);
    this.#process = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.last = text.trim().split('\n').at(-1) ?? '';
    });
    const sees = async (): Promise<boolean> => {
      const flows = await berthd.node.run(['cat', '/proc/net/nf_conntrack']);
      return flows.code !== 0 || flows.stdout.includes('dport=8100');
    };
    await eventually('the flow has begun', sees);
  }

  async end(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}

function mapping(protocol: 'TCP' | 'UDP' | 'SCTP', container: number, host: number, hostIp = ''): PortMapping {
  return { protocol, container_port: container, host_port: host, host_ip: hostIp };
}

type Enter = (argv: readonly string[]) => readonly string[];

function fromNode(argv: readonly string[]): readonly string[] {
  return berthd.node.enter(argv);
}

function enterOutside(argv: readonly string[]): readonly string[] {
  return ['nsenter', '-t', String(outside.pid), '-n', '--', ...argv];
}

async function inPod(pod: TestPod): Promise<Enter> {
  const pid = await pausePidOf(pod);
  return (argv) => ['nsenter', '-t', String(pid), '-n', '--', ...argv];
}

async function inNode(line: string): Promise<void> {
  expect(await berthd.node.run(['sh', '-ec', line])).toMatchObject({ code: 0 });
}

const askers = {
  TCP: `require('node:net').connect(port, address).on('data', (data) => end(String(data))).on('error', failed)`,
  UDP: `const socket = require('node:dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.on('message', (data) => end(String(data))).on('error', failed);
    socket.connect(port, address, () => socket.send('x'))`,
} as const;

/** What a server says, or why there is none: "ECONNREFUSED", "silence". */
async function ask(enter: Enter, protocol: 'TCP' | 'UDP', address: string, port: number): Promise<string> {
  const script = `
    const [address, port] = [process.argv[1], Number(process.argv[2])];
    const end = (text) => { process.stdout.write(text); process.exit(0); };
    const failed = (error) => end(error.code);
    setTimeout(() => end('silence'), 3000);
    ${askers[protocol]};
  `;
  const { stdout, stderr } = await run(enter([process.execPath, '-e', script, address, String(port)]));
  return stdout || stderr;
}

async function fetchPage(port: number): Promise<string> {
  const script = `fetch(process.argv[1]).then((reply) => reply.text()).then((text) => process.stdout.write(text))`;
  const url = `http://${nodeAddress[4]}:${port}/x`;
  return (await run(fromNode([process.execPath, '-e', script, url]))).stdout;
}
