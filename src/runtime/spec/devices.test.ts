import { describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { containerDevices, defaultDevices, type DeviceFiles } from './devices.ts';

type Kind = 'char' | 'block' | 'directory' | 'link' | 'fifo' | 'socket';
/** A node's /dev: kinds by path. What begins with `gone` is listed and is no longer there when it is looked at. */
type Listing = Readonly<Record<string, Kind>>;

const is = (kind: Kind | undefined) => ({
  isDirectory: () => kind === 'directory',
  isCharacterDevice: () => kind === 'char',
  isBlockDevice: () => kind === 'block',
});

function filesOf(listing: Listing, errno = 'ENOENT'): DeviceFiles {
  const look = (file: string): void => {
    if (/\/gone[^/]*$/.test(file)) throw Object.assign(new Error(`${errno}: ${file}`), { code: errno });
  };
  return {
    readdir: async (directory) => {
      look(directory);
      const names = Object.keys(listing).filter((file) => file.slice(0, file.lastIndexOf('/')) === directory);
      return names.map((file) => ({ name: file.slice(directory.length + 1), ...is(listing[file]) }));
    },
    stat: async (file) => {
      look(file);
      return { ...is(listing[file]), rdev: (8 << 8) | 1, mode: 0o20660, uid: 0, gid: 6 };
    },
  };
}

const input = { devices: [], privileged: true };
const privileged = async (files: DeviceFiles): Promise<readonly string[]> => {
  const { devices } = await containerDevices(createCtx(), input, files);
  return devices.map(({ path }) => path).slice(defaultDevices.length);
};

describe('the devices of a privileged container', () => {
  test.each(['ENOENT', 'ENOTDIR'])(
    'once failed for a directory or node that comes and goes in /dev (%s)',
    async (errno) => {
      const listing: Listing = {
        ...{ '/dev/sda': 'block', '/dev/gone': 'char', '/dev/gone-bus': 'directory', '/dev/bus': 'directory' },
        ...{ '/dev/bus/usb': 'directory', '/dev/bus/usb/gone-001': 'directory', '/dev/bus/usb/002': 'char' },
      };
      expect(await privileged(filesOf(listing, errno))).toEqual(['/dev/sda', '/dev/bus/usb/002']);
    },
  );

  test('are no sockets, pipes or links, and not what a container makes itself', async () => {
    const listing: Listing = {
      ...{
        '/dev/log': 'socket',
        '/dev/initctl': 'fifo',
        '/dev/stdin': 'link',
        '/dev/null': 'char',
        '/dev/tty': 'char',
      },
      ...{ '/dev/console': 'char', '/dev/ptmx': 'char', '/dev/kvm': 'char', '/dev/snd': 'directory' },
      ...{ '/dev/pts': 'directory', '/dev/pts/0': 'char', '/dev/shm': 'directory', '/dev/shm/x': 'char' },
      ...{ '/dev/mqueue': 'directory', '/dev/mqueue/x': 'char', '/dev/fd': 'directory', '/dev/snd/seq': 'char' },
    };
    expect(await privileged(filesOf(listing))).toEqual(['/dev/kvm', '/dev/snd/seq']);
  });

  test('are thousands on a large machine', async () => {
    const disks = (count: number): Listing =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [`/dev/mapper/disk${at}`, 'block']));
    const many = { '/dev/mapper': 'directory', ...disks(10_000) } as const;
    expect(await privileged(filesOf(many))).toHaveLength(10_000);
    await expect(privileged(filesOf({ '/dev/mapper': 'directory', ...disks(32_769) }))).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      message: 'devices: more than 32768 in /dev/mapper',
    });
  });

  test('are an error where the node cannot be looked at', async () => {
    await expect(privileged(filesOf({ '/dev/gone': 'directory' }, 'EIO'))).rejects.toThrow('EIO');
  });
});

describe('a device that is asked for', () => {
  const asked = (hostPath: string, files: DeviceFiles) =>
    containerDevices(
      createCtx(),
      { devices: [{ hostPath, containerPath: hostPath, permissions: 'r' }], privileged: false },
      files,
    );

  test('is missed when it is gone', async () => {
    await expect(asked('/dev/gone', filesOf({}))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('may be a directory of which something goes meanwhile', async () => {
    const files = filesOf({ '/dev/dri': 'directory', '/dev/dri/gone': 'char', '/dev/dri/card0': 'char' });
    const { devices } = await asked('/dev/dri', files);
    expect(devices.map(({ path }) => path)).toEqual([...defaultDevices.map(({ path }) => path), '/dev/dri/card0']);
  });
});
