import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { ContainerConfig } from '#cri-api/gen/runtime/v1/ContainerConfig';
import type { LinuxContainerResources } from '#cri-api/gen/runtime/v1/LinuxContainerResources';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { ensureBusybox } from './harness/busybox.ts';
import { output } from './harness/command.ts';
import { top } from './harness/paths.ts';
import { podConfig, shell, TestPod } from './harness/pods.ts';
import { eventually } from './harness/wait.ts';

// Every one of these ends with an error that says what is wrong, and loses nothing.

let berthd: Berthd;
let pod: TestPod;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
});
beforeEach(async () => {
  pod = await TestPod.run(berthd);
});
afterAll(() => berthd.teardown());

const file = (name: string): string => path.join(berthd.node.directory, name);

describe('containers', () => {
  test('of an unknown image', async () => {
    const create = pod.create({ image: { image: 'localhost/nobody:1' }, command: ['true'] });
    await expect(create).rejects.toMatchObject({
      status: 'NOT_FOUND',
      details: expect.stringContaining('localhost/nobody:1') as unknown,
    });
  });

  test('in a pod nobody knows', async () => {
    const request = {
      pod_sandbox_id: 'a'.repeat(64),
      config: shell('true', { metadata: { name: 'x' } }),
      sandbox_config: pod.config,
    };
    await expect(berthd.cri.runtime.createContainer(request)).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  test('without a name', async () => {
    await expect(pod.create({ ...shell('true'), metadata: null })).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
    });
  });

  test('with a volume below a file', async () => {
    writeFileSync(file('plain'), '');
    const mounts = [{ host_path: file('plain/below'), container_path: '/data' }];
    await expect(pod.create(shell('true', { mounts }))).rejects.toThrow(file('plain'));
  });

  test('with a log path that leaves its directory', async () => {
    await expect(pod.create(shell('true', { log_path: '../../escape.log' }))).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
    });
  });

  const device = { host_path: '/dev/zero', container_path: '/dev/zero', permissions: 'r' };
  const mounted = (host_path: string, container_path: string) => ({ host_path, container_path });
  const seccomp = (localhost_ref: string): ContainerConfig => ({
    linux: { security_context: { seccomp: { profile_type: 'Localhost', localhost_ref } } },
  });
  const limited = (resources: LinuxContainerResources): ContainerConfig => ({ linux: { resources } });
  const mistakes: readonly (readonly [string, ContainerConfig, string])[] = [
    ['device permissions that are none', { devices: [{ ...device, permissions: 'zzz' }] }, 'permissions "zzz"'],
    ['device permissions said twice', { devices: [{ ...device, permissions: 'rr' }] }, 'permissions "rr"'],
    ['a device at no path', { devices: [{ ...device, container_path: 'zero' }] }, 'container_path'],
    ['a device at the root', { devices: [{ ...device, container_path: '/dev/..' }] }, 'container_path'],
    ['a device of no path', { devices: [{ ...device, host_path: 'zero' }] }, 'host_path "zero"'],
    ['a directory of no devices', { devices: [{ ...device, host_path: '/etc' }] }, 'device /etc'],
    [
      'a device where a file lies',
      { devices: [{ ...device, container_path: '/bin/sh' }] },
      '/bin/sh: file exists: something else',
    ],
    [
      'a file over a directory',
      { mounts: [mounted('/etc/passwd', '/bin')] },
      '/bin: it is a directory in the container, but the source a file: /etc/passwd',
    ],
    [
      'a directory over a file',
      { mounts: [mounted('/etc', '/bin/sh')] },
      '/bin/sh: it is a file in the container, but the source a directory: /etc',
    ],
    ['a log path that is its directory', { log_path: '.' }, 'log_path .'],
    ['a log path that ends as a directory', { log_path: 'c/' }, 'log_path c/'],
    ['a stop signal without a name', { stop_signal: 99 as unknown as 'SIGNAL_SIGTERM' }, 'stop_signal 99'],
    [
      'a cpu period that no kernel has',
      limited({ cpu_period: '3', cpu_quota: '2000' }),
      'cpu_period 3: expected from 1000 to 1000000',
    ],
    ['a cpu quota that no kernel has', limited({ cpu_quota: '5' }), 'cpu_quota 5: expected at least 1000'],
    ['a negative memory limit', limited({ memory_limit_in_bytes: '-5' }), 'memory_limit_in_bytes -5: expected bytes'],
    ['a seccomp profile that is not there', seccomp('/nosuch'), 'seccomp profile /nosuch does not exist'],
    ['cpus that are not there', limited({ cpuset_cpus: '65000' }), 'cpuset_cpus has processors'],
    ['cpus that are none', limited({ cpuset_cpus: 'zzz' }), 'cpuset_cpus "zzz": expected numbers'],
  ];
  test.each(mistakes)('with %s', async (_what, config, named) => {
    await expect(pod.create(shell('true', config))).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      details: expect.stringContaining(named) as unknown,
    });
  });

  test('with a memory limit that is too low to set them up', async () => {
    await expect(pod.create(shell('true', limited({ memory_limit_in_bytes: '4096' })))).rejects.toMatchObject({
      status: 'RESOURCE_EXHAUSTED',
      details: expect.stringContaining(
        'container init was OOM-killed (memory limit too low?): 4096 bytes at /',
      ) as unknown,
    });
  });

  test('that are started twice, or after their end', async () => {
    const container = await pod.start(shell('true'));
    await container.exited();
    await expect(container.start()).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
  });

  test('that are asked to exec after their end', async () => {
    const container = await pod.start(shell('true'));
    await container.exited();
    await expect(container.exec(['true'])).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
  });
});

describe('pods', () => {
  test.each([
    ['relative', 'somewhere'],
    ['leaving the root', '/../../x'],
  ])('with a cgroup parent that is %s', async (_name, cgroup_parent) => {
    await expect(TestPod.run(berthd, { linux: { cgroup_parent } })).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      details: expect.stringContaining(cgroup_parent) as unknown,
    });
  });

  test.each([
    ['a hostname of 65 bytes', { hostname: 'a'.repeat(65) }, 'has 65 bytes, at most 64 are possible'],
    ['a hostname with a slash', { hostname: 'a/b' }, 'white space, a control character or a slash'],
    ['a relative log directory', { log_directory: 'logs' }, 'log_directory "logs"'],
    ['a value that no sysctl has', { linux: { sysctls: { 'net.ipv4.ip_forward': 'zzz' } } }, 'net.ipv4.ip_forward'],
    ['a sysctl that no kernel has', { linux: { sysctls: { 'net.no.such': '1' } } }, 'net.no.such'],
  ])('with %s', async (_what, config, named) => {
    await expect(TestPod.run(berthd, config)).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      details: expect.stringContaining(named) as unknown,
    });
  });

  test('without metadata', async () => {
    const config = { ...podConfig(berthd), metadata: null };
    await expect(berthd.cri.runtime.runPodSandbox({ config })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  test('with a handler nobody knows', async () => {
    const request = { config: podConfig(berthd), runtime_handler: 'no-such-handler' };
    await expect(berthd.cri.runtime.runPodSandbox(request)).rejects.toThrow('no-such-handler');
  });

  test('with a sysctl that is not a pod’s', async () => {
    const sysctls = { 'vm.swappiness': '1' };
    await expect(TestPod.run(berthd, { linux: { sysctls } })).rejects.toThrow('vm.swappiness');
  });
});

describe('images', () => {
  test('from a file that is not there', async () => {
    await expect(berthd.load('/no/such/file.tar')).rejects.toThrow('/no/such/file.tar');
  });

  test('from a file that is no archive', async () => {
    writeFileSync(file('noise.tar'), 'this is no tar archive'.repeat(1000));
    await expect(berthd.load(file('noise.tar'))).rejects.toThrow('IMAGE_INVALID');
  });

  test('from a truncated archive', async () => {
    const broken = file('truncated.tar');
    writeFileSync(broken, readFileSync(await ensureBusybox()));
    truncateSync(broken, 700_000);
    await expect(berthd.load(broken, 'localhost/broken:1')).rejects.toThrow(/IMAGE_INVALID|truncated/);
    const { images } = await berthd.cri.images.listImages({});
    expect(images.flatMap(({ repo_tags }) => repo_tags)).toEqual(['localhost/busybox:latest']);
  });

  test('on a disk that is full, and again when there is room', async () => {
    const small = await startBerthd({ diskSize: '24m' });
    try {
      const filler = path.join(small.root, 'filler');
      await small.node.run(['sh', '-c', `head -c 30000000 /dev/zero > ${filler}; truncate -s -600K ${filler}`]);
      await expect(small.loadBusybox()).rejects.toThrow(/RESOURCE_EXHAUSTED|space/i);
      expect((await small.cri.images.listImages({})).images).toEqual([]);
      await small.node.run(['rm', filler]);
      await small.loadBusybox();
      expect(await (await TestPod.run(small)).sh('echo there is room')).toBe('there is room\n');
    } finally {
      await small.teardown();
    }
  });
});

describe('berthd', () => {
  test('a second one on the same state says who owns it and goes away', async () => {
    const child = berthd.spawn();
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(code).not.toBe(0);
    expect(berthd.log).toContain(`another berthd (pid ${berthd.pid}) owns ${berthd.root}`);
    await berthd.cri.runtime.version({});
  });

  test('started in a chroot says so before it touches anything, instead of failing every container', async () => {
    const place = file('chroot');
    mkdirSync(place);
    // The whole node is there, so that nothing else can be the reason.
    const script = 'mount --rbind / "$1" && exec chroot "$1" "$2" --config "$3"';
    const program = path.join(top, 'deploy/berthd');
    const own = ['unshare', '--mount', 'sh', '-c', script, 'sh', place, program, berthd.configFile];
    const { code, stderr } = await berthd.node.run(own);
    expect(stderr).toMatch(/started in a chroot/);
    expect(code).toBe(69);
  });

  test.each([
    ['an unknown key', '[network]\nbrigde = "x"\n', /other\.toml.*unknown key network\.brigde/],
    ['a wrong value', '[network]\nmode = "x"\n', /network\.mode: expected one of/],
    ['text that is no TOML', '[network\n', /other\.toml:1:/],
  ])('with %s in its config names it and goes away', async (_name, text, message) => {
    writeFileSync(file('other.toml'), text);
    const child = berthd.spawn(file('other.toml'));
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(code).not.toBe(0);
    await eventually('the message is in the log', () => message.test(berthd.log));
  });
});

test('after all of this nothing is left over', async () => {
  await berthd.removeAllPods();
  expect(await berthd.strays()).toEqual([]);
  expect(
    await output(['find', path.join(berthd.root, 'containers'), '-mindepth', '1', '-maxdepth', '1']).catch(() => ''),
  ).toBe('');
});
