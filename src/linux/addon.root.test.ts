import { chmodSync, constants as files, copyFileSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { constants } from 'node:os';

import { describe, expect, test } from '@jest/globals';

import { createCtx } from '#base/ctx';
import { errnoOf } from '#base/errors';

import { addonPlaces, loadAddon } from './load.ts';
import { runProcess } from './run-process.ts';

// What only root may do. The machine's own network is never touched: link tests run in a process with a network
// namespace of its own.
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('skipped: src/linux/addon.root.test.ts needs root (namespaces, mounts)');
const asRoot = isRoot ? describe : describe.skip;

const addon = loadAddon();
const ctx = createCtx();
const library = addonPlaces().find((place) => statSync(place, { throwIfNoEntry: false }));

/** Runs a script in fresh network and mount namespaces; gives what it passed to `report`. */
async function inOwnNetwork(script: string): Promise<unknown> {
  const source = `
    import { createRequire } from 'node:module';
    import { execFileSync } from 'node:child_process';
    import net from 'node:net';
    const addon = createRequire('/')(${JSON.stringify(library)});
    const sh = (command, stdio = []) => execFileSync('/bin/bash', ['-c', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit', ...stdio] });
    const inside = (netns, command) => sh('nsenter --net=/proc/self/fd/3 bash -c ' + JSON.stringify(command), [netns]);
    const report = (value) => console.log(JSON.stringify(value, (_key, each) => typeof each === 'bigint' ? Number(each) : each));
    const outcome = async (promise) => promise.then((value) => value ?? 'done', (error) => error.code + ': ' + error.message);
    ${script}`;
  const argv = ['unshare', '--net', '--mount', process.execPath, '--input-type=module', '-'];
  const env = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'];
  const ran = await runProcess(ctx, addon, { path: '/usr/bin/unshare', argv, env, stdin: source, limit: 1 << 20 });
  if (ran.code !== 0) throw new Error(`the script failed: ${ran.stderr}`);
  return JSON.parse(ran.stdout);
}

const bridge = `{ name: 'bt0', addresses: ['10.99.0.1/16', 'fd99::1/64'], mac: '0a:58:0a:63:00:01', mtu: 1400 }`;
const veth = (host: string, end: number): string =>
  `{ netnsFd: netns, hostName: '${host}', containerName: 'eth0', bridge: 'bt0', mac: '0a:58:0a:63:00:0${end}', mtu: 1400,
     addresses: ['10.99.0.${end}/16', 'fd99::${end}/64'], gateways: ['10.99.0.1', 'fd99::1'] }`;

asRoot('links', () => {
  test('a bridge is made once, whatever how often it is asked for', async () => {
    const links = await inOwnNetwork(`
      await addon.ensureBridge(${bridge});
      await addon.ensureBridge(${bridge});
      const all = await addon.listLinks();
      report({ bridge: all.find(({ name }) => name === 'bt0'), addresses: sh('ip -br addr show bt0').trim().split(/ +/).slice(2) });`);
    expect(links).toMatchObject({ bridge: { kind: 'bridge', up: true, master: 0, mac: '0a:58:0a:63:00:01' } });
    expect(links).toMatchObject({ addresses: expect.arrayContaining(['10.99.0.1/16', 'fd99::1/64']) });
  });

  test('what is no bridge is not taken for one', async () => {
    const said = await inOwnNetwork(`
      sh('ip link add bt0 type veth peer name other');
      report(await outcome(addon.ensureBridge(${bridge})));`);
    expect(said).toMatch(/^(EEXIST|EOPNOTSUPP): rtnetlink .*bt0/);
  });

  test('a pod reaches the node over both families at once, without waiting for address detection', async () => {
    const seen = await inOwnNetwork(`
      await addon.ensureBridge(${bridge});
      const netns = await addon.createNetns();
      const made = await addon.attachVeth(${veth('bvtest1', 2)});
      const server = net.createServer((socket) => socket.end());
      await new Promise((resolve) => server.listen(0, '::', resolve));
      const { port } = server.address();
      for (const target of ['10.99.0.1', 'fd99::1']) inside(netns, 'echo hi >/dev/tcp/' + target + '/' + port);
      server.close();
      const [counters] = await addon.netnsCounters(netns);
      const all = await addon.listLinks();
      const host = all.find(({ name }) => name === 'bvtest1');
      report({
        made, host, bridgeIndex: all.find(({ name }) => name === 'bt0').index, counters,
        hairpin: sh('cat /sys/class/net/bvtest1/brport/hairpin_mode 2>/dev/null || bridge -d link show dev bvtest1'),
        inside: JSON.parse(inside(netns, 'ip -j addr')), routes: inside(netns, 'ip -4 route; ip -6 route'),
      });`);
    expect(seen).toMatchObject({
      made: { mac: '0a:58:0a:63:00:02' },
      host: { kind: 'veth', up: true },
      counters: { name: 'eth0', rxErrors: 0 },
      hairpin: expect.stringMatching(/^1|hairpin on/),
    });
    const { made, host, bridgeIndex, inside, routes, counters } = seen as {
      made: { hostIndex: number };
      host: { index: number; master: number };
      bridgeIndex: number;
      inside: { ifname: string; mtu: number; flags: string[]; addr_info: { local: string }[] }[];
      routes: string;
      counters: { rxBytes: number; txPackets: number };
    };
    expect(made.hostIndex).toBe(host.index);
    expect(host.master).toBe(bridgeIndex);
    expect(inside.map(({ ifname }) => ifname)).toEqual(['lo', 'eth0']);
    expect(inside.every(({ flags }) => flags.includes('UP'))).toBe(true);
    expect(inside[1]).toMatchObject({ mtu: 1400 });
    expect(inside[1]?.addr_info.map(({ local }) => local)).toEqual(expect.arrayContaining(['10.99.0.2', 'fd99::2']));
    expect(routes).toContain('default via 10.99.0.1 dev eth0');
    expect(routes).toContain('default via fd99::1 dev eth0');
    expect(counters.rxBytes).toBeGreaterThan(0);
    expect(counters.txPackets).toBeGreaterThan(0);
  });

  test('a failed attachment leaves nothing and says what failed', async () => {
    const said = await inOwnNetwork(`
      const netns = await addon.createNetns();
      const request = ${veth('bvtest1', 2)};
      const noBridge = await outcome(addon.attachVeth(request));
      await addon.ensureBridge(${bridge});
      const badRoute = await outcome(addon.attachVeth({ ...request, gateways: ['192.0.2.1'] }));
      const before = (await addon.listLinks()).map(({ name }) => name);
      await addon.attachVeth(request);
      const again = await outcome(addon.attachVeth(request));
      const after = (await addon.listLinks()).map(({ name }) => name);
      const noNamespace = await outcome(addon.attachVeth({ ...request, hostName: 'bvtest2', netnsFd: 2 }));
      report({ noBridge, badRoute, again, noNamespace, before, after });`);
    expect(said).toEqual({
      noBridge: 'ENODEV: rtnetlink bridge bt0: no such device',
      badRoute: expect.stringMatching(/^ENETUNREACH: rtnetlink add default route: network is unreachable/),
      again: expect.stringMatching(/^EEXIST: rtnetlink bvtest1: file exists/),
      noNamespace: expect.stringMatching(/^EINVAL: /),
      before: ['lo', 'bt0'],
      after: ['lo', 'bt0', 'bvtest1'],
    });
  });

  test('the link goes with the namespace, and deleting what is gone is no error', async () => {
    const left = await inOwnNetwork(`
      await addon.ensureBridge(${bridge});
      const netns = await addon.createNetns();
      await addon.attachVeth(${veth('bvtest1', 2)});
      addon.close(netns);
      const names = async () => (await addon.listLinks()).map(({ name }) => name);
      for (let i = 0; i < 200 && (await names()).includes('bvtest1'); i++) await new Promise((resolve) => setTimeout(resolve, 20));
      const gone = await names();
      await addon.deleteLink('bvtest1');
      await addon.deleteLink('bt0');
      report({ gone, end: await names() });`);
    expect(left).toEqual({ gone: ['lo', 'bt0'], end: ['lo'] });
  });
});

asRoot('namespaces', () => {
  test('a new one is another than ours, has lo up, and costs no more than its descriptor', async () => {
    const before = readdirSync('/proc/self/fd').length;
    const links = (await addon.listLinks()).map(({ name }) => name);
    const fds = await Promise.all(Array.from({ length: 5 }, () => addon.createNetns()));
    const inodes = new Set(fds.map((fd) => addon.fstat(fd).ino));
    inodes.add(statSync('/proc/self/ns/net', { bigint: true }).ino);
    expect(inodes.size).toBe(6);
    expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before + 5 + 2);
    // The thread came home.
    expect((await addon.listLinks()).map(({ name }) => name)).toEqual(links);
    expect(await addon.netnsCounters(fds[0]!)).toEqual(expect.not.arrayContaining([{ name: 'eth0' }]));
    for (const fd of fds) addon.close(fd);
  });
});

asRoot('a namespace with a file', () => {
  test('lives by it until it is detached; a file that is there already is not touched', async () => {
    const directory = mkdtempSync('/tmp/berth-netns-');
    try {
      const seen = await inOwnNetwork(`
        const fs = await import('node:fs');
        const file = '${directory}/pod';
        const netns = await addon.createNetns();
        await addon.bindNetns(netns, file);
        const again = await outcome(addon.bindNetns(netns, file));
        const same = addon.fstat(netns).ino === fs.statSync(file, { bigint: true }).ino;
        addon.close(netns);
        const alive = sh('nsenter --net=' + file + ' ip -br link').trim().split(/ +/)[0];
        await addon.detachMount(file);
        const after = fs.statfsSync(file).type === 0x6e736673;
        fs.unlinkSync(file);
        const noNamespace = await outcome((async () => addon.bindNetns(99, file))());
        const nowhere = await addon.createNetns().then((other) => outcome(addon.bindNetns(other, '${directory}/none/pod')));
        report({ again, same, alive, after, noNamespace, nowhere, left: fs.readdirSync('${directory}') });`);
      expect(seen).toEqual({
        again: expect.stringMatching(/^EEXIST: open .*pod: file exists/),
        same: true,
        alive: 'lo',
        after: false,
        noNamespace: expect.stringMatching(/^EBADF: /),
        nowhere: expect.stringMatching(/^ENOENT: open /),
        left: [],
      });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

asRoot('settings of a namespace', () => {
  test('are written there and nowhere else, and only below net/', async () => {
    const seen = await inOwnNetwork(`
      const fs = await import('node:fs');
      const netns = await addon.createNetns();
      const path = 'net/ipv4/conf/lo/arp_ignore';
      const own = () => fs.readFileSync('/proc/sys/' + path, 'utf8').trim();
      const there = () => sh('nsenter --net=/proc/' + process.pid + '/fd/' + netns + ' cat /proc/sys/' + path).trim();
      await addon.writeNetSettings(netns, [{ path, value: '2' }]);
      const values = [own(), there()];
      const failures = [];
      for (const [bad, value] of [['net/ipv4/conf/eth7/arp_ignore', '1'], [path, 'much'], ['kernel/panic', '1'],
                                  ['net/../kernel/panic', '1'], ['net/', '1'], ['net//ipv4', '1'], ['net/./x', '1']])
        failures.push((await outcome((async () => addon.writeNetSettings(netns, [{ path: bad, value }]))())).slice(0, 18));
      addon.close(netns);
      report({ values, failures });`);
    expect(seen).toEqual({
      values: ['0', '2'],
      failures: ['ENOENT: open /proc', 'EINVAL: write /pro', ...Array<string>(5).fill('undefined: path mu')],
    });
  });
});

asRoot('executables', () => {
  test('cannot be written through the process that ran them, not even when it is gone', async () => {
    const directory = mkdtempSync('/tmp/berth-exe-');
    const copy = `${directory}/sleep`;
    copyFileSync('/bin/sleep', copy);
    chmodSync(copy, 0o755);
    const attempt = async (executable: number | undefined): Promise<unknown> => {
      const child = addon.spawn({
        path: copy,
        ...(executable === undefined ? {} : { executableFd: executable }),
        argv: ['sleep', '100'],
        env: [],
        fds: [],
      });
      // A writer that waits for "text file busy" to pass.
      const held = addon.open(`/proc/${child.pid}/exe`, 0o10000000 /* O_PATH */, 0);
      if (executable !== undefined) addon.close(executable);
      addon.pidfdSendSignal(child.pidfd, constants.signals.SIGKILL);
      await addon.waitPidfd(child.pidfd);
      addon.close(child.pidfd);
      try {
        addon.close(addon.open(`/proc/self/fd/${held}`, files.O_WRONLY, 0));
        return 'writable';
      } catch (error) {
        return errnoOf(error);
      } finally {
        addon.close(held);
      }
    };
    try {
      expect(await attempt(undefined)).toBe('writable');
      expect(await attempt(addon.cloneExecutable(copy))).toBe('EROFS');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
