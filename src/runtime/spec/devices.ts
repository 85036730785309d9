import type { Dirent, Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { BerthError, errnoOf } from '#base/errors';
import type { ContainerInput, DeviceInput } from '#runtime/container-input';
import type { DeviceRule, OciDevice } from './oci.ts';

const node = (name: string, major: number, minor: number): OciDevice => ({
  path: `/dev/${name}`,
  type: 'c',
  major,
  minor,
  fileMode: 0o666,
  uid: 0,
  gid: 0,
  byDefault: true,
});

/** Devices every container has. */
export const defaultDevices: readonly OciDevice[] = [
  node('null', 1, 3),
  node('zero', 1, 5),
  node('full', 1, 7),
  node('random', 1, 8),
  node('urandom', 1, 9),
  node('tty', 5, 0),
];

const rule = (
  major: number | undefined,
  minor: number | undefined,
  access: string,
  type: 'b' | 'c' = 'c',
): DeviceRule => ({
  allow: true,
  type,
  access,
  ...(major === undefined ? {} : { major }),
  ...(minor === undefined ? {} : { minor }),
});

/**
 * As runc's list. Not c 5:1: a container's /dev/console is its own terminal, a pts; the device of that number is the node's
 * console, which a node made with CAP_MKNOD would open.
 */
const baseRules: readonly DeviceRule[] = [
  { allow: false, type: 'a', access: 'rwm' },
  // Making nodes is harmless: opening them is what the rules are for.
  rule(undefined, undefined, 'm'),
  rule(undefined, undefined, 'm', 'b'),
  ...defaultDevices.map((device) => rule(device.major, device.minor, 'rwm')),
  rule(5, 2, 'rwm'), // /dev/ptmx
  rule(136, undefined, 'rwm'), // /dev/pts/*
];

const everyDevice: readonly DeviceRule[] = [{ allow: true, type: 'a', access: 'rwm' }];

type Entry = Pick<Dirent, 'name' | 'isDirectory' | 'isCharacterDevice' | 'isBlockDevice'>;
type About = Pick<Stats, 'isDirectory' | 'isCharacterDevice' | 'isBlockDevice' | 'rdev' | 'mode' | 'uid' | 'gid'>;

/** What of a file system the devices are found by; tests have another /dev than the machine's. */
export interface DeviceFiles {
  readdir(directory: string): Promise<readonly Entry[]>;
  stat(file: string): Promise<About>;
}

const nodeFiles: DeviceFiles = {
  readdir: (directory) => readdir(directory, { withFileTypes: true }),
  stat: (file) => stat(file),
};

export interface ContainerDevices {
  readonly devices: readonly OciDevice[];
  readonly rules: readonly DeviceRule[];
}

/** Of a request, with those in directories. */
const maxDevices = 4096;
/** Of the node: a machine with many disks, each on several paths, has thousands. */
const maxNodeDevices = 32_768;

/**
 * Nodes and rules: the default ones, the requested ones (a directory means all devices below it), all for privileged.
 *
 * With users of its own a privileged container may use of the node's devices what everybody may: an image's own node of
 * the node's disk belongs to the container's root.
 */
export async function containerDevices(
  ctx: Ctx,
  input: Pick<ContainerInput, 'devices' | 'privileged' | 'users'>,
  files: DeviceFiles = nodeFiles,
): Promise<ContainerDevices> {
  const requested: { device: OciDevice; permissions: string }[] = [];
  for (const wanted of input.devices) {
    requested.push(...(await requestedDevices(ctx, files, wanted)));
    if (requested.length > maxDevices) throw tooMany(maxDevices, `of ${wanted.hostPath} and before it`);
  }
  if (input.privileged) {
    const found = await walk(files, '/dev', '/dev', hostDirsLeftOut, maxNodeDevices);
    const host = found.map((device) => ({ ...device, byDefault: true }));
    const devices = unique([...defaultDevices, ...host, ...requested.map((entry) => entry.device)]);
    return { devices, rules: input.users ? [...listedRules(requested), ...host.flatMap(everybodysRule)] : everyDevice };
  }
  return {
    devices: unique([...defaultDevices, ...requested.map((entry) => entry.device)]),
    rules: listedRules(requested),
  };
}

function tooMany(limit: number, which: string): BerthError {
  return new BerthError('RESOURCE_EXHAUSTED', `devices: more than ${limit} ${which}`);
}

function listedRules(
  requested: readonly { readonly device: OciDevice; readonly permissions: string }[],
): readonly DeviceRule[] {
  return [...baseRules, ...requested.map(({ device, permissions }) => ruleOf(device, permissions))];
}

/** What the mode allows to those who neither own the device nor are of its group. */
function everybodysRule(device: OciDevice): readonly DeviceRule[] {
  const mode = device.fileMode;
  const access = `${mode & 0o4 ? 'r' : ''}${mode & 0o2 ? 'w' : ''}`;
  return access === '' ? [] : [ruleOf(device, access)];
}

function ruleOf({ major, minor, type }: OciDevice, access: string): DeviceRule {
  return rule(major, minor, access, type === 'b' ? 'b' : 'c');
}

/** Of two devices at one path the later one wins. */
function unique(devices: readonly OciDevice[]): OciDevice[] {
  return [...new Map(devices.map((device) => [device.path, device])).values()];
}

async function requestedDevices(
  ctx: Ctx,
  files: DeviceFiles,
  wanted: DeviceInput,
): Promise<{ device: OciDevice; permissions: string }[]> {
  ctx.signal.throwIfAborted();
  const stats = await statDevice(files, wanted.hostPath);
  const permissions = wanted.permissions === '' ? 'rwm' : wanted.permissions;
  if (stats.isDirectory()) {
    // Anywhere else nobody knows how much there is to walk, and what of it answers.
    if (!isBelowDev(wanted.hostPath)) {
      throw new BerthError('INVALID_ARGUMENT', `device ${wanted.hostPath} is a directory that is not below /dev`);
    }
    const below = await walk(files, wanted.hostPath, wanted.containerPath, new Set());
    return below.map((device) => ({ device, permissions }));
  }
  const device = toDevice(wanted.containerPath, stats, wanted.hostPath);
  if (!device) throw new BerthError('INVALID_ARGUMENT', `${wanted.hostPath} is not a device`);
  return [{ device, permissions }];
}

const isBelowDev = (place: string): boolean => /^\/dev(\/|$)/.test(path.posix.normalize(place));

async function statDevice(files: DeviceFiles, hostPath: string): Promise<About> {
  try {
    return await files.stat(hostPath);
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT')
      throw new BerthError('NOT_FOUND', `device ${hostPath} does not exist: no such file or directory`, { cause });
    throw cause;
  }
}

/** What a container makes itself or must not share. */
const hostDirsLeftOut = new Set(['pts', 'shm', 'fd', 'mqueue', '.lxc', '.lxd-mounts', '.udev']);
const hostNodesLeftOut = new Set(['console', 'ptmx', 'tty', 'null', 'zero', 'full', 'random', 'urandom']);

async function walk(
  files: DeviceFiles,
  hostDir: string,
  containerDir: string,
  leftOut: ReadonlySet<string>,
  limit = maxDevices,
): Promise<OciDevice[]> {
  const found: OciDevice[] = [];
  const entries = await unlessGone(files.readdir(hostDir), []);
  for (const entry of entries) {
    found.push(...(await visit(files, entry, hostDir, containerDir, leftOut, limit)));
    if (found.length > limit) throw tooMany(limit, `in ${hostDir}`);
  }
  return found;
}

async function visit(
  files: DeviceFiles,
  entry: Entry,
  hostDir: string,
  containerDir: string,
  leftOut: ReadonlySet<string>,
  limit: number,
): Promise<OciDevice[]> {
  const hostPath = path.join(hostDir, entry.name);
  const containerPath = path.join(containerDir, entry.name);
  if (entry.isDirectory()) return leftOut.has(entry.name) ? [] : walk(files, hostPath, containerPath, leftOut, limit);
  if (!entry.isCharacterDevice() && !entry.isBlockDevice()) return [];
  if (leftOut.size > 0 && hostNodesLeftOut.has(entry.name)) return [];
  const stats = await unlessGone(files.stat(hostPath), undefined);
  const device = stats && toDevice(containerPath, stats, hostPath);
  return device ? [device] : [];
}

/** Devices are plugged in and out as they like: what is not there any more, or is something else by now, is not there. */
async function unlessGone<T, U>(looking: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await looking;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return otherwise;
    throw error;
  }
}

function toDevice(containerPath: string, stats: About, hostPath: string): OciDevice | undefined {
  const type = stats.isCharacterDevice() ? 'c' : stats.isBlockDevice() ? 'b' : undefined;
  if (type === undefined) return undefined;
  return {
    path: containerPath,
    ...(hostPath === containerPath ? {} : { source: hostPath }),
    type,
    // gnu_dev_major and gnu_dev_minor
    major: Number(((BigInt(stats.rdev) >> 8n) & 0xfffn) | ((BigInt(stats.rdev) >> 32n) & 0xfffff000n)),
    minor: Number((BigInt(stats.rdev) & 0xffn) | ((BigInt(stats.rdev) >> 12n) & 0xffffff00n)),
    fileMode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
  };
}
