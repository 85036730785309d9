import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ContainerConfig } from '#cri-api/gen/runtime/v1/ContainerConfig';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { busyboxLayer, writeImage, type LayerEntry } from './harness/image-archive.ts';
import { ownUsers, shell, TestPod } from './harness/pods.ts';

// Volumes and image VOLUMEs in the places of what every container is given: its root, /dev, /proc, /sys, /etc/hosts.

let berthd: Berthd;
let pod: TestPod;
let serial = 0;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pod = await TestPod.run(berthd);
});
afterAll(() => berthd.teardown());

function volume(): string {
  serial += 1;
  const directory = path.join(berthd.node.directory, `place-${serial}`);
  mkdirSync(directory);
  return directory;
}

const at = (host_path: string, container_path: string, readonly = false): ContainerConfig => ({
  mounts: [{ host_path, container_path, readonly }],
});

async function onNode(...argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await berthd.node.run(argv);
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}\n${stdout}${stderr}`);
  return stdout;
}

/** A shell line in a container of an image with these entries and VOLUMEs. */
async function inImage(
  entries: readonly LayerEntry[],
  volumes: readonly string[],
  more = {},
): Promise<ContainerConfig> {
  serial += 1;
  const reference = `localhost/odd:${serial}`;
  const Volumes = Object.fromEntries(volumes.map((name) => [name, {}]));
  const file = path.join(berthd.node.directory, 'odd.tar');
  await berthd.load(writeImage(file, { reference, layers: [busyboxLayer, entries], config: { Volumes } }));
  return { image: { image: reference }, ...more };
}

const readonlyRoot: ContainerConfig = { linux: { security_context: { readonly_rootfs: true } } };

describe('a volume at /dev', () => {
  test.each([
    ['/dev', {}],
    ['/dev/../dev/', {}],
    ['/dev', ownUsers],
  ])('%s: nothing is written into it', async (place, config) => {
    const own = await TestPod.run(berthd, config);
    const directory = volume();
    expect(await own.sh('ls -A /dev; readlink /proc/self/fd/0', at(directory, place))).toBe('/null\n');
    expect(readdirSync(directory)).toEqual([]);
    await own.remove();
  });

  test('that a link of the image leads to: nothing is written into it', async () => {
    const image = await inImage([{ name: 'devices', symlinkTo: '/dev' }], []);
    const directory = volume();
    expect(await pod.sh('ls -A /dev/', { ...image, ...at(directory, '/devices') })).toBe('');
    expect(readdirSync(directory)).toEqual([]);
  });

  test('that is read-only is no error', async () => {
    expect(await pod.sh('ls -A /dev', at(volume(), '/dev', true))).toBe('');
  });

  test('has what the node has there, but the pod’s shared memory, and devices that were asked for', async () => {
    const directory = volume();
    await onNode('mount', '-t', 'tmpfs', 'none', directory);
    await onNode('mkdir', `${directory}/shm`);
    await onNode('mknod', `${directory}/zero`, 'c', '1', '5');
    const before = await onNode('ls', '-AR', directory);
    const zero = { host_path: '/dev/zero', container_path: '/dev/zero', permissions: 'r' };
    const line = 'ls /dev; grep -c " /dev/shm tmpfs" /proc/mounts; head -c 1 /dev/zero | wc -c';
    expect(await pod.sh(line, { ...at(directory, '/dev'), devices: [zero] })).toBe('shm\nzero\n1\n1\n');
    const absent = { ...zero, container_path: '/dev/absent/zero' };
    await expect(pod.create(shell('true', { ...at(directory, '/dev'), devices: [absent] }))).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      details: expect.stringContaining('/dev/absent/zero: it lies in a volume') as unknown,
    });
    expect(await onNode('ls', '-AR', directory)).toBe(before);
    await onNode('umount', directory);
  });

  test('without terminals says so to who wants one', async () => {
    const create = pod.create(shell('true', { ...at(volume(), '/dev'), tty: true }));
    await expect(create).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      details: expect.stringContaining('no terminals') as unknown,
    });
  });

  test('with terminals gives one, and the console only where it has a place for it', async () => {
    const directory = volume();
    await onNode('mount', '-t', 'tmpfs', 'none', directory);
    await onNode('mkdir', `${directory}/pts`);
    await onNode('mount', '-t', 'devpts', '-o', 'newinstance,ptmxmode=0666', 'none', `${directory}/pts`);
    const line = 'ls /dev/; [ -t 0 ] && [ ! -c /dev/console ] && echo terminal';
    const config = { ...at(directory, '/dev'), tty: true };
    expect(await pod.sh(line, config)).toMatch(/^pts\s+terminal\s+$/);
    await onNode('touch', `${directory}/console`);
    expect(await pod.sh('[ -c /dev/console ] && echo console', config)).toMatch(/^console\s+$/);
    expect(await onNode('ls', '-A', directory)).toBe('console\npts\n');
    await onNode('umount', '-R', directory);
  });

  test('takes nothing else away: a file in the place of one device, directories of others', async () => {
    const directory = volume();
    const file = path.join(directory, 'random');
    writeFileSync(file, 'chosen by fair dice roll\n');
    const mounts = [
      { host_path: file, container_path: '/dev/random' },
      { host_path: directory, container_path: '/dev/shm' },
      { host_path: directory, container_path: '/dev/pts' },
      { host_path: directory, container_path: '/dev/mqueue' },
    ];
    const line = 'cat /dev/random /dev/shm/random; head -c 1 /dev/zero | wc -c; readlink /dev/ptmx';
    expect(await pod.sh(line, { mounts })).toBe(`${'chosen by fair dice roll\n'.repeat(2)}1\npts/ptmx\n`);
    expect(readdirSync(directory)).toEqual(['random']);
  });
});

describe('a volume', () => {
  test('at /etc gets none of the pod’s files, but those it has a place for', async () => {
    const directory = volume();
    expect(await pod.sh('ls -A /etc', at(directory, '/etc'))).toBe('');
    expect(readdirSync(directory)).toEqual([]);
    writeFileSync(path.join(directory, 'hosts'), '');
    chmodSync(path.join(directory, 'hosts'), 0o644);
    expect(await pod.sh('cat /etc/hosts', at(directory, '/etc', true))).toContain('localhost');
    expect(readdirSync(directory)).toEqual(['hosts']);
  });

  test('at /sys is what is there', async () => {
    const directory = volume();
    writeFileSync(path.join(directory, 'file'), '');
    expect(await pod.sh('ls -A /sys', at(directory, '/sys'))).toBe('file\n');
    expect(readdirSync(directory)).toEqual(['file']);
  });

  test.each(['/', '/tmp/..', '//', '/proc', '/proc/sys', '/proc/self/attr', '/bin/sh/below', '/etc/hosts/..//../'])(
    'at %s is refused by name',
    async (place) => {
      const create = pod.create(shell('true', at(volume(), place)));
      await expect(create).rejects.toMatchObject({
        status: 'INVALID_ARGUMENT',
        details: expect.stringContaining(place.startsWith('/proc') ? place : 'mount') as unknown,
      });
    },
  );

  test('and the pod’s files lie where links of the image lead that end nowhere', async () => {
    const stub = '../run/systemd/resolve/stub-resolv.conf';
    const links = [
      { name: 'etc/' },
      { name: 'run/' },
      { name: 'etc/resolv.conf', symlinkTo: stub },
      { name: 'data', symlinkTo: '../mnt/data' },
    ];
    const image = await inImage(links, []);
    for (const own of [pod, await TestPod.run(berthd, ownUsers)]) {
      const line = `cat /run/systemd/resolve/stub-resolv.conf | wc -l; readlink /etc/resolv.conf; ls -d /mnt/data`;
      const out = await own.sh(line, { ...image, ...at(volume(), '/data'), working_dir: '/data' });
      expect(out).toMatch(new RegExp(`^[1-9]\\d*\n${stub}\n/mnt/data\n$`));
    }
  });

  test('that is the node’s /proc takes the place of the container’s', async () => {
    const masks = { masked_paths: ['/proc/keys'], readonly_paths: ['/proc/sys'] };
    const line = `ls -d /proc/${process.pid}; cat /proc/keys; echo 1 2>&1 >/proc/sys/kernel/panic; true`;
    const out = await pod.sh(line, { ...at('/proc', '/proc'), linux: { security_context: masks } });
    expect(out).toMatch(new RegExp(`^/proc/${process.pid}\n.*Read-only file system\n$`));
    const container = await pod.start(shell('sleep 1000', at('/proc', '/proc')));
    expect(await container.sh('readlink /proc/self/exe')).toBe('/bin/sh\n');
  });

  test('at a link of the image to its root is refused', async () => {
    const image = await inImage([{ name: 'lnk', symlinkTo: '/' }], []);
    const create = pod.create(shell('true', { ...image, ...at(volume(), '/lnk') }));
    await expect(create).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      details: expect.stringContaining("/lnk: it is the container's root") as unknown,
    });
  });
});

describe('a VOLUME of the image', () => {
  test.each(['/', '.', '..', 'usr/..', '/bin/../..'])(
    'that is a link to its root (%s) does not make a read-only root writable',
    async (symlinkTo) => {
      const image = await inImage([{ name: 'usr/' }, { name: 'lnk', symlinkTo }], ['/lnk'], readonlyRoot);
      await expect(pod.create(shell('touch /x', image))).rejects.toMatchObject({
        status: 'FAILED_PRECONDITION',
        details: expect.stringContaining('volume: /lnk: a VOLUME of the image is its root') as unknown,
      });
    },
  );

  test('that goes back to the root by name is none', async () => {
    const image = await inImage([{ name: 'usr/' }], ['/usr/..', '/', '/.'], readonlyRoot);
    expect(await pod.sh('touch /x 2>&1 || echo refused', image)).toContain('refused');
  });

  test('that is a link, or below one, to what the container is given covers none of it', async () => {
    const links = [
      { name: 'etc/' },
      { name: 'l1', symlinkTo: '/proc' },
      { name: 'l2', symlinkTo: '/sys' },
      { name: 'l3', symlinkTo: '/dev' },
      { name: 'l4', symlinkTo: '/proc/sys' },
      { name: 'l5', symlinkTo: '/dev/pts' },
      { name: 'etc/hosts', data: 'mine\n' },
      { name: 'l6', symlinkTo: '/etc/hosts' },
    ];
    const volumes = ['/l1', '/l2', '/l3', '/l4', '/l5', '/l6', '/l1/more', '/l3/more', '/data'];
    const image = await inImage(links, volumes, readonlyRoot);
    const line = [
      'touch /x 2>/dev/null && exit 1; touch /data/x && cat /etc/hosts',
      'stat -f -c %T / /proc /sys /dev /dev/pts /dev/shm; ls /dev/null /sys/kernel >/dev/null && echo whole',
      'echo 1 2>/dev/null >/proc/sys/vm/swappiness && exit 1; true',
    ].join('; ');
    const text = await pod.sh(line, image);
    expect(text).toContain('localhost');
    expect(text).toMatch(/\nproc\nsysfs\ntmpfs\ndevpts\ntmpfs\nwhole\n$/);
  });

  test('at what the container is given is covered by it', async () => {
    const volumes = [
      '/etc/hosts',
      '/etc/resolv.conf',
      '/dev',
      '/dev/shm',
      '/proc',
      '/proc/sys',
      '/sys/fs/cgroup',
      'data',
    ];
    const image = await inImage([], volumes, readonlyRoot);
    const text = await pod.sh('cat /etc/hosts; stat -f -c %T /proc /dev /data/; touch /data/x', image);
    expect(text).toMatch(/localhost[^]*\nproc\ntmpfs\n/);
  });
});

describe('an image', () => {
  const odd: readonly (readonly [string, LayerEntry])[] = [
    ['/proc', { name: 'proc', symlinkTo: '/tmp' }],
    ['/proc', { name: 'proc', data: '' }],
    ['/sys', { name: 'sys', symlinkTo: '/nowhere' }],
    ['/sys', { name: 'sys', data: '' }],
    ['/dev', { name: 'dev', symlinkTo: '/' }],
    ['/dev', { name: 'dev', symlinkTo: 'dev' }],
    ['/dev', { name: 'dev', data: '' }],
  ];
  test.each(odd)('whose %s is no plain directory is refused: %j', async (place, entry) => {
    const image = await inImage([{ name: 'tmp/' }, entry], []);
    await expect(pod.create(shell('true', image))).rejects.toMatchObject({
      status: 'FAILED_PRECONDITION',
      details: expect.stringContaining(`mount: ${place}: the image has no plain directory there`) as unknown,
    });
  });
});
