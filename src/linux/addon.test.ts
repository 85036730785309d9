import {
  constants as open,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, Socket } from 'node:net';
import { constants } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { createCtx } from '#base/ctx';

import { addonPlaces, loadAddon } from './load.ts';
import { runProcess } from './run-process.ts';

const addon = loadAddon();
const library = addonPlaces().find((place) => statSync(place, { throwIfNoEntry: false }));
let directory: string;

beforeAll(() => {
  directory = mkdtempSync('/tmp/berth-addon-');
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const openFds = (): number => readdirSync('/proc/self/fd').length;
const thrown = (action: () => unknown): unknown => {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};

describe('loading', () => {
  test('says every place that was tried and how to build it', () => {
    expect(() => loadAddon(['/a/berth_addon.node', '/b/berth_addon.node'])).toThrow(
      'the native addon is not built: run "make build"; tried /a/berth_addon.node, /b/berth_addon.node',
    );
  });

  test('a library that is there and broken is not passed over', () => {
    const broken = path.join(directory, 'broken.node');
    writeFileSync(broken, 'no library');
    expect(() => loadAddon([broken, ...addonPlaces()])).toThrow(/cannot load the native addon .*broken\.node/);
  });
});

describe('failures', () => {
  test('have code, errno, syscall and path, and a lower-case sentence', () => {
    const error = thrown(() => addon.open('/nonexistent/file', 0, 0));
    // Not toBeInstanceOf: in Jest the test has its own realm, the addon Node's.
    expect(Object.prototype.toString.call(error)).toBe('[object Error]');
    expect(error).toMatchObject({
      code: 'ENOENT',
      errno: constants.errno.ENOENT,
      syscall: 'open',
      path: '/nonexistent/file',
      message: 'open /nonexistent/file: no such file or directory',
    });
  });

  test('wrong arguments are refused by name before anything happens', () => {
    expect(() => addon.open('/tmp/a\0b', 0, 0)).toThrow(/^path must be free of NUL bytes$/);
    expect(() => addon.close(-1)).toThrow(/^fd must be an integer in range$/);
    expect(thrown(() => addon.close(1.5))).toMatchObject({ name: 'TypeError' });
    expect(() => addon.close('1' as never)).toThrow(/^fd must be a number$/);
    expect(() => addon.spawn({ path: '/bin/true' } as never)).toThrow('argv must be an array');
    expect(() => addon.batch([{ op: 'rmdir' } as never])).toThrow('path must be a string');
    expect(() => addon.batch([{ op: 'format', path: '/' } as never])).toThrow('op must be a known operation');
    expect(() => addon.deleteLink('a/b')).toThrow(/^name must be valid: a\/b$/);
    expect(() => addon.deleteLink('sixteen-bytes-16')).toThrow(/^name must be valid/);
  });
});

describe('descriptors', () => {
  test('are closed in children', async () => {
    const { read, write } = addon.pipe();
    const fd = addon.duplicate(read);
    const child = await runProcess(createCtx(), addon, {
      path: '/bin/sh',
      argv: ['sh', '-c', `for n in 3 4 ${read} ${write} ${fd}; do [ -e /proc/$$/fd/$n ] && echo $n; done; true`],
      env: [],
      limit: 1000,
    });
    expect(child).toMatchObject({ code: 0, stdout: '' });
    for (const each of [read, write, fd]) addon.close(each);
  });

  test('a directory is opened only as itself', () => {
    symlinkSync('/etc', path.join(directory, 'link'));
    expect(thrown(() => addon.openDirectory(path.join(directory, 'link')))).toMatchObject({ code: 'ENOTDIR' });
    const fd = addon.openDirectory(directory);
    expect(addon.fstat(fd).ino).toBe(statSync(directory, { bigint: true }).ino);
    addon.close(fd);
    expect(thrown(() => addon.fstat(fd))).toMatchObject({ code: 'EBADF', syscall: 'fstat' });
  });

  test('a directory has one lock, which goes with its last descriptor', () => {
    const [mine, other] = [0, 0].map(() => addon.open(directory, open.O_DIRECTORY, 0)) as [number, number];
    const copy = addon.duplicate(mine);
    expect(addon.lock(mine)).toBe(true);
    expect(addon.lock(other)).toBe(false);
    addon.close(mine);
    expect(addon.lock(other)).toBe(false);
    addon.close(copy);
    expect(addon.lock(other)).toBe(true);
    addon.close(other);
    expect(thrown(() => addon.lock(other))).toMatchObject({ code: 'EBADF', syscall: 'flock' });
  });

  test('a file of an image is read inside its root only, and only if it is a file and small', () => {
    writeFileSync(path.join(directory, 'passwd'), 'inside');
    symlinkSync('/../../passwd', path.join(directory, 'absolute'));
    symlinkSync('/proc/self/root/etc/passwd', path.join(directory, 'magic'));
    const root = addon.openDirectory(directory);
    expect(Buffer.from(addon.readFileInRoot(root, '/passwd', 6)).toString()).toBe('inside');
    expect(Buffer.from(addon.readFileInRoot(root, 'absolute', 100)).toString()).toBe('inside');
    expect(thrown(() => addon.readFileInRoot(root, 'passwd', 5))).toMatchObject({ code: 'EFBIG' });
    expect(thrown(() => addon.readFileInRoot(root, 'magic', 100))).toMatchObject({ code: 'ENOENT' });
    expect(thrown(() => addon.readFileInRoot(root, '.', 100))).toMatchObject({ code: 'EINVAL' });
    addon.close(root);
  });
});

describe('unix sockets', () => {
  test('are reached below a directory whose own path is too long', async () => {
    const deep = path.join(directory, 'd'.repeat(120));
    await addon.batch([{ op: 'mkdir', path: deep, mode: 0o700 }]);
    const at = addon.openDirectory(deep);
    const server = createServer((socket) => socket.end('hello'));
    const listening = addon.listenUnix(at, 's.sock', 16);
    server.listen({ fd: listening });
    expect(statSync(path.join(deep, 's.sock')).mode & 0o777).toBe(0o600);
    const fd = addon.connectUnix(at, 's.sock');
    expect(addon.peerCredentials(fd)).toMatchObject({ pid: process.pid, uid: process.getuid?.() });
    const socket = new Socket({ fd, readable: true, writable: true });
    const chunks: Buffer[] = [];
    for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe('hello');
    await new Promise((resolve) => server.close(resolve));
    addon.close(at);
  });

  test('a name that does not fit is refused by name, never cut', () => {
    const at = addon.openDirectory(directory);
    const name = 'n'.repeat(108);
    expect(thrown(() => addon.listenUnix(at, name, 1))).toMatchObject({ code: 'ENAMETOOLONG', path: name });
    expect(thrown(() => addon.connectUnix(at, name))).toMatchObject({ code: 'ENAMETOOLONG' });
    expect(thrown(() => addon.listenUnix(at, '../x', 1))).toMatchObject({ code: 'EINVAL' });
    expect(thrown(() => addon.connectUnix(at, 'nobody'))).toMatchObject({ code: 'ENOENT', path: 'nobody' });
    addon.close(at);
  });

  test('descriptors travel with a frame of any size we allow', async () => {
    const at = addon.openDirectory(directory);
    const receiver = addon.listenUnix(at, 'fds.sock', 16);
    const { read, write } = addon.pipe();
    const frame = Buffer.alloc(4 * 1024 * 1024, 'f');
    const script = [
      'import array, os, socket, sys',
      's = socket.socket(fileno=3)',
      's.setblocking(True)',
      'c, _ = s.accept()',
      'c.setblocking(True)',
      'm, a, _, _ = c.recvmsg(1 << 23, 256)',
      'fds = array.array("i"); fds.frombytes(a[0][2])',
      'n = len(m)',
      'while n < int(sys.argv[1]): n += len(c.recv(1 << 20))',
      'os.write(fds[0], b"%d bytes, %d fds" % (n, len(fds)))',
    ];
    const child = addon.spawn({
      path: '/usr/bin/python3',
      argv: ['python3', '-c', script.join('\n'), String(frame.length)],
      env: [],
      fds: [null, null, 2, receiver],
    });
    const connection = addon.connectUnixWithFds(at, 'fds.sock', frame, [write, write]);
    addon.close(write);
    expect(await addon.waitPidfd(child.pidfd)).toEqual({ code: 0 });
    const text = new Socket({ fd: read, readable: true, writable: false });
    const chunks: Buffer[] = [];
    for await (const chunk of text as AsyncIterable<Buffer>) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe(`${frame.length} bytes, 2 fds`);
    for (const fd of [child.pidfd, connection, receiver, at]) addon.close(fd);
  });
});

describe('processes', () => {
  test('their ends are told by code or by signal, whoever closes the pidfd meanwhile', async () => {
    const child = addon.spawn({ path: '/bin/sh', argv: ['sh', '-c', 'exit 7'], env: [], fds: [] });
    const exit = addon.waitPidfd(child.pidfd);
    addon.close(child.pidfd);
    expect(await exit).toEqual({ code: 7 });
    const sleeper = addon.spawn({ path: '/bin/sleep', argv: ['sleep', '100'], env: [], fds: [] });
    expect(addon.pidfdSendSignal(sleeper.pidfd, constants.signals.SIGTERM)).toBe(true);
    expect(await addon.waitPidfd(sleeper.pidfd)).toEqual({ signal: constants.signals.SIGTERM });
    expect(addon.pidfdSendSignal(sleeper.pidfd, 0)).toBe(false);
    addon.close(sleeper.pidfd);
  });

  test('hundreds at once all come home', async () => {
    const before = openFds();
    const exits = Array.from({ length: 300 }, async (_, index) => {
      const argv = ['sh', '-c', `exit ${index % 200}`];
      const child = addon.spawn({ path: '/bin/sh', argv, env: [], fds: [] });
      try {
        return await addon.waitPidfd(child.pidfd);
      } finally {
        addon.close(child.pidfd);
      }
    });
    expect(await Promise.all(exits)).toEqual(exits.map((_exit, index) => ({ code: index % 200 })));
    expect(openFds()).toBeLessThanOrEqual(before + 3);
  });

  test('a process that is no child of ours cannot be waited for', async () => {
    const shell = await runProcess(createCtx(), addon, {
      path: '/bin/sh',
      argv: ['sh', '-c', 'sleep 0.2 >/dev/null 2>&1 & echo $!'],
      env: [],
      limit: 100,
    });
    const fd = addon.pidfdOpen(Number(shell.stdout));
    await expect(addon.waitPidfd(fd)).rejects.toMatchObject({ code: 'ECHILD', syscall: 'waitid' });
    addon.close(fd);
    expect(thrown(() => addon.pidfdOpen(2 ** 22 + 1))).toMatchObject({ code: 'ESRCH', syscall: 'pidfd_open' });
  });
});

describe('batches', () => {
  test('run in order and stop at the first failure that is not optional', async () => {
    const base = path.join(directory, 'batch');
    const results = await addon.batch([
      { op: 'mkdir', path: base, mode: 0o700 },
      { op: 'mkdir', path: base, mode: 0o700, optional: ['EEXIST'] },
      { op: 'mkdir', path: `${base}/a`, mode: 0o700 },
      { op: 'list', path: base, limit: 100 },
      { op: 'read', path: `${base}/none`, limit: 100, optional: true },
      { op: 'read', path: '/proc/self/stat', limit: 3, optional: true },
      { op: 'rmdir', path: `${base}/a` },
      { op: 'rmdir', path: `${base}/a`, optional: ['EPERM'] },
      { op: 'rmdir', path: base },
    ]);
    expect(results).toEqual([
      {},
      { error: 'EEXIST' },
      {},
      { data: 'a\n' },
      { error: 'ENOENT' },
      { error: 'EFBIG' },
      {},
      { error: 'ENOENT' },
      { error: 'ECANCELED' },
    ]);
    await addon.batch([{ op: 'rmdir', path: base }]);
    expect(await addon.batch([])).toEqual([]);
  });

  test('many at once are answered in order; too many are refused, not queued', async () => {
    const read = [{ op: 'read', path: '/proc/self/stat', limit: 4096 }] as const;
    const jobs = Array.from({ length: 6000 }, () => Promise.resolve().then(() => addon.batch(read)));
    const settled = await Promise.allSettled(jobs);
    const refused = settled.filter((one) => one.status === 'rejected');
    expect(settled.length - refused.length).toBeGreaterThanOrEqual(4096);
    for (const one of refused) expect(one.reason).toMatchObject({ code: 'EAGAIN' });
  });
});

test('seccomp profiles become BPF on a thread of their own', async () => {
  const errno = 0x0005_0001;
  const allow = 0x7fff_0000;
  const rule = (names: string[], ...args: { index: number; op: number; value: bigint; valueTwo: bigint }[]) => ({
    names,
    action: allow,
    args,
  });
  const rules = [
    rule(['read', 'write', 'unheard_of']),
    rule(['personality'], { index: 0, op: 4, value: 0xffff_ffff_ffff_ffffn, valueTwo: 0n }),
  ];
  const bpf = await addon.compileSeccomp({ defaultAction: errno, architectures: [], rules });
  expect(bpf.length % 8).toBe(0);
  expect(bpf.length).toBeGreaterThan(32);
  const arm = ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'];
  const forArm = await addon.compileSeccomp({
    defaultAction: errno,
    architectures: arm,
    rules: [rule(['set_tls', 'cacheflush', 'arm_fadvise64_64', 'sync_file_range2'])],
  });
  expect(forArm.length).toBeGreaterThan(0);
  const bad = addon.compileSeccomp({ defaultAction: errno, architectures: ['SCMP_ARCH_PDP11'], rules });
  await expect(bad).rejects.toMatchObject({ code: 'EINVAL', path: 'SCMP_ARCH_PDP11' });
});

test('capabilities and limits are those of /proc', () => {
  const status = readFileSync('/proc/self/status', 'utf8');
  const field = (name: string): bigint => BigInt(`0x${new RegExp(`^${name}:\\t(.*)$`, 'm').exec(status)![1]!}`);
  const { effective, bounding, last } = addon.capabilities();
  expect({ effective, bounding }).toEqual({ effective: field('CapEff'), bounding: field('CapBnd') });
  expect(last).toBe(Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8')));
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const [, soft] = /^Max open files +([0-9]+)/m.exec(limits)!;
  expect(addon.getrlimit(7).soft).toBe(BigInt(soft!));
});

describe('the end', () => {
  test('an idle addon does not keep the process, a pending answer does', async () => {
    const script = `
      const addon = require(${JSON.stringify(library)});
      addon.disableCoreDumps();
      const child = addon.spawn({ path: '/bin/sleep', argv: ['sleep', '0.05'], env: [], fds: [] });
      addon.batch([{ op: 'read', path: '/proc/self/stat', limit: 4096 }]);
      addon.waitPidfd(child.pidfd).then((exit) => console.log(JSON.stringify(exit)));`;
    const argv = ['node', '-e', script];
    const ran = await runProcess(createCtx(), addon, { path: process.execPath, argv, env: [], limit: 4096 });
    expect(ran).toEqual({ code: 0, stdout: '{"code":0}\n', stderr: '', truncated: false });
  });

  test('a worker thread may end with work under way', async () => {
    const script = `
      const addon = require(${JSON.stringify(library)});
      const { parentPort } = require('node:worker_threads');
      const child = addon.spawn({ path: '/bin/sleep', argv: ['sleep', '0.3'], env: [], fds: [] });
      addon.waitPidfd(child.pidfd);
      for (let i = 0; i < 1000; i++) addon.batch([{ op: 'read', path: '/proc/self/mountinfo', limit: 1 << 20 }]);
      parentPort.postMessage('busy');`;
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(script, { eval: true });
      await new Promise((resolve) => worker.once('message', resolve));
      await worker.terminate();
    }
    // This thread's own instance is untouched.
    expect(await addon.batch([{ op: 'list', path: directory, limit: 4096 }])).toHaveLength(1);
  });
});
