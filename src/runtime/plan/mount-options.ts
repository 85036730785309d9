import { BerthError } from '#base/errors';

/** mount(2) flags by the names of mount(8); `clear` for the opposite of a flag. */
const flagWords: Readonly<Record<string, { set?: bigint; clear?: bigint }>> = {
  ro: { set: 0x1n },
  rw: { clear: 0x1n },
  nosuid: { set: 0x2n },
  suid: { clear: 0x2n },
  nodev: { set: 0x4n },
  dev: { clear: 0x4n },
  noexec: { set: 0x8n },
  exec: { clear: 0x8n },
  sync: { set: 0x10n },
  async: { clear: 0x10n },
  dirsync: { set: 0x80n },
  nosymfollow: { set: 0x100n },
  noatime: { set: 0x400n },
  atime: { clear: 0x400n },
  nodiratime: { set: 0x800n },
  diratime: { clear: 0x800n },
  relatime: { set: 0x20_0000n },
  norelatime: { clear: 0x20_0000n },
  strictatime: { set: 0x100_0000n },
  nostrictatime: { clear: 0x100_0000n },
  iversion: { set: 0x80_0000n },
  defaults: {},
};

const propagationWords: Readonly<Record<string, 'PRIVATE' | 'SLAVE' | 'SHARED'>> = {
  private: 'PRIVATE',
  rprivate: 'PRIVATE',
  slave: 'SLAVE',
  rslave: 'SLAVE',
  shared: 'SHARED',
  rshared: 'SHARED',
};

export interface ParsedMountOptions {
  readonly flags: bigint;
  readonly data: string;
  readonly propagation: 'PRIVATE' | 'SLAVE' | 'SHARED';
  readonly bind: boolean;
  readonly recursive: boolean;
  readonly recursiveReadonly: boolean;
  readonly idmapped: boolean;
  readonly words: ReadonlySet<string>;
}

/** Not for mount(2): the compiler of plans looks for them. */
const ignored = new Set(['bind', 'rbind', 'idmap', 'ridmap']);

const unsupported = new Set(['tmpcopyup', 'unbindable', 'runbindable']);

/** Sorts an OCI mount's options into what mount(2) and mount_setattr(2) take. Throws UNIMPLEMENTED for what Berth does not do. */
export function parseMountOptions(options: readonly string[]): ParsedMountOptions {
  let flags = 0n;
  let propagation: ParsedMountOptions['propagation'] = 'PRIVATE';
  const data: string[] = [];
  const words = new Set(options);
  for (const option of options) {
    if (unsupported.has(option)) throw new BerthError('UNIMPLEMENTED', `mount option ${option} is not supported`);
    if (option.startsWith('x-') || ignored.has(option)) continue;
    if (option === 'rro') {
      flags |= 0x1n;
      continue;
    }
    const word = Object.hasOwn(flagWords, option) ? flagWords[option] : undefined;
    const spread = Object.hasOwn(propagationWords, option) ? propagationWords[option] : undefined;
    if (word) flags = (flags | (word.set ?? 0n)) & ~(word.clear ?? 0n);
    else if (spread) propagation = spread;
    else data.push(option);
  }
  return {
    flags,
    data: data.join(','),
    propagation,
    bind: words.has('bind') || words.has('rbind'),
    recursive: words.has('rbind'),
    recursiveReadonly: words.has('rro'),
    idmapped: words.has('idmap') || words.has('ridmap'),
    words,
  };
}
