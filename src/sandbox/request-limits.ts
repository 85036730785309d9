import { BerthError } from '#base/errors';
import type { ContainerSettings, PodConfig } from './identity.ts';

// How much a request may ask for. The limits are the kernel's where it has one, else far beyond what a kubelet sends:
// they keep one pod's author from growing berthd, its store and a shim without end. docs/limits.md lists them.

/** PATH_MAX and NAME_MAX of linux/limits.h, without the closing zero. */
export const pathBytes = 4095;
const nameBytes = 255;
/** Texts and lists of which the table below says nothing. */
const textBytes = 4096;
const listEntries = 1024;
/** NGROUPS_MAX of linux/limits.h. */
export const maxGroups = 65_536;
/** All texts and lists of one config together: it has to fit into one message to a shim, and into one record. */
const configBytes = 12 * 1024 * 1024;
const entryBytes = 8;

type Limit =
  /** A path of the kernel. */
  | { readonly path: true }
  /** Bytes of a text. */
  | { readonly bytes: number }
  /** Entries of a list; the limits of what is in it go by the same name. */
  | { readonly entries: number }
  /** Names and values that the caller chose, with what they may have together. */
  | { readonly mapBytes: number; readonly mapEntries?: number };

const path: Limit = { path: true };
const megabyte = 1024 * 1024;
const unbounded: Limit = { bytes: Infinity };

const podLimits: Readonly<Record<string, Limit>> = {
  labels: { mapBytes: megabyte },
  annotations: { mapBytes: megabyte },
  log_directory: path,
  port_mappings: { entries: 10_000 },
  // What Berth sets itself comes to it; the shim takes 256.
  'linux.sysctls': { mapBytes: megabyte, mapEntries: 250 },
  'linux.security_context.supplemental_groups': { entries: maxGroups },
};

const containerLimits: Readonly<Record<string, Limit>> = {
  // Of these execve(2) has the say: see checkExecution.
  command: { entries: Infinity },
  'command[]': unbounded,
  args: { entries: Infinity },
  'args[]': unbounded,
  envs: { entries: Infinity },
  'envs[].key': unbounded,
  'image.annotations': { mapBytes: megabyte },
  labels: { mapBytes: megabyte },
  annotations: { mapBytes: megabyte },
  working_dir: path,
  log_path: path,
  mounts: { entries: 10_000 },
  'mounts[].host_path': path,
  'mounts[].container_path': path,
  devices: { entries: 4096 },
  'devices[].host_path': path,
  'devices[].container_path': path,
  'linux.resources.cpuset_cpus': { bytes: 65_536 },
  'linux.resources.cpuset_mems': { bytes: 65_536 },
  'linux.resources.unified': { mapBytes: megabyte, mapEntries: 256 },
  'linux.security_context.supplemental_groups': { entries: maxGroups },
  'linux.security_context.masked_paths[]': path,
  'linux.security_context.readonly_paths[]': path,
  'linux.security_context.seccomp.localhost_ref': path,
};

/** @throws INVALID_ARGUMENT naming the field and its limit */
export function checkPodLimits(config: PodConfig): void {
  new Walk('pod config', podLimits).check(config);
}

/** As checkPodLimits; what the command and environment may have is checkExecution's. */
export function checkContainerLimits(config: ContainerSettings): void {
  new Walk('container config', containerLimits).check(config);
}

/** Of a change to a container or pod. @throws INVALID_ARGUMENT */
export function checkResourceLimits(resources: object | null): void {
  if (resources) new Walk('resources', containerLimits).check(resources, 'linux.resources.');
}

class Walk {
  readonly #what: string;
  readonly #limits: Readonly<Record<string, Limit>>;
  #bytes = 0;

  constructor(what: string, limits: Readonly<Record<string, Limit>>) {
    this.#what = what;
    this.#limits = limits;
  }

  /** @param key before the names of its fields in the table */
  check(config: object, key = ''): void {
    this.#fields(config, key, '');
    if (this.#bytes > configBytes) throw this.#over('its texts and lists have', this.#bytes, 'bytes', configBytes);
  }

  /** @param key the field's name in the table; `shown` has the numbers of list entries as well */
  #value(value: unknown, key: string, shown: string): void {
    if (typeof value === 'string') this.#text(value, key, shown);
    else if (value instanceof Uint8Array) this.#count(value.length);
    else if (Array.isArray(value)) this.#list(value, key, shown);
    else if (typeof value === 'object' && value !== null) this.#object(value, key, shown);
  }

  #object(value: object, key: string, shown: string): void {
    const limit = this.#limits[key];
    if (limit && 'mapBytes' in limit) this.#map(value as Readonly<Record<string, string>>, limit, shown);
    else this.#fields(value, `${key}.`, `${shown}.`);
  }

  #fields(value: object, key: string, shown: string): void {
    for (const [name, field] of Object.entries(value)) this.#value(field, `${key}${name}`, `${shown}${name}`);
  }

  #text(text: string, key: string, shown: string): void {
    this.#checkZero(text, shown);
    const bytes = Buffer.byteLength(text);
    this.#count(bytes);
    const limit = this.#limits[key] ?? { bytes: textBytes };
    if ('bytes' in limit && bytes > limit.bytes) throw this.#over(shown, bytes, 'bytes', limit.bytes);
    if ('path' in limit) this.#path(text, bytes, shown);
  }

  #path(text: string, bytes: number, shown: string): void {
    if (bytes > pathBytes) throw this.#over(shown, bytes, 'bytes', pathBytes);
    const longest = Math.max(...text.split('/').map((name) => Buffer.byteLength(name)));
    if (longest > nameBytes) throw this.#over(`a name in ${shown}`, longest, 'bytes', nameBytes);
  }

  #list(list: readonly unknown[], key: string, shown: string): void {
    const limit = this.#limits[key];
    const most = limit && 'entries' in limit ? limit.entries : listEntries;
    if (list.length > most) throw this.#over(shown, list.length, 'entries', most);
    this.#count(list.length * entryBytes);
    for (const [at, entry] of list.entries()) this.#value(entry, `${key}[]`, `${shown}[${at}]`);
  }

  #map(map: Readonly<Record<string, string>>, limit: { mapBytes: number; mapEntries?: number }, shown: string): void {
    const entries = Object.entries(map);
    const { mapBytes, mapEntries = Infinity } = limit;
    if (entries.length > mapEntries) throw this.#over(shown, entries.length, 'entries', mapEntries);
    let bytes = 0;
    for (const [name, value] of entries) {
      this.#checkZero(name, shown);
      this.#checkZero(value, shown);
      bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
    }
    if (bytes > mapBytes) throw this.#over(shown, bytes, 'bytes', mapBytes);
    this.#count(bytes);
  }

  /** To the kernel a zero ends the text: half of it would be taken for the whole. */
  #checkZero(text: string, shown: string): void {
    if (text.includes('\0')) throw new BerthError('INVALID_ARGUMENT', `${this.#what}: ${shown} has a zero byte`);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
  }

  #over(what: string, has: number, unit: 'bytes' | 'entries', limit: number): BerthError {
    const verb = what.includes(' have') ? '' : ' has';
    return new BerthError(
      'INVALID_ARGUMENT',
      `${this.#what}: ${what}${verb} ${has} ${unit}, at most ${limit} are possible`,
    );
  }
}
