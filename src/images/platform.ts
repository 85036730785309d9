import { readFileSync } from 'node:fs';
import { BerthError } from '#base/errors';
import { cpuLevel } from './cpu-level.ts';
import type { UntrustedObject } from './untrusted.ts';

/** What this node runs, in the words of image indexes. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** The level of its processors: "v3", "v8.2". */
  readonly variant?: string;
}

const architectures = { x64: 'amd64', arm64: 'arm64' } as const;

export function hostPlatform(arch: string = process.arch, cpuinfo = ownCpuinfo): Platform {
  if (arch !== 'x64' && arch !== 'arm64') throw new BerthError('UNIMPLEMENTED', `images for ${arch} are not known`);
  const architecture = architectures[arch];
  return { os: 'linux', architecture, variant: cpuLevel(architecture, cpuinfo()) };
}

let readOnce: string | undefined;

/** "" where it cannot be read: the lowest level runs everywhere. */
function ownCpuinfo(): string {
  if (readOnce !== undefined) return readOnce;
  try {
    readOnce = readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    readOnce = '';
  }
  return readOnce;
}

/**
 * How well a platform that an index or a config names fits: the smaller the better, undefined for not at all. The order
 * is that of containerd's `platforms` package, with levels of amd64 that the processor has before the plain one: nothing
 * above what the processor can do, the highest first, and 32-bit images last.
 *
 * @param named the object with `os`, `architecture`, `variant`; undefined fits, but less than all that are named
 */
export function rankOf(named: UntrustedObject | undefined, platform: Platform): number | undefined {
  const accepted = acceptedBy(platform);
  if (!named) return accepted.length;
  const os = named.text('os').toLowerCase();
  // Features are of Windows; `os.version` says nothing on Linux.
  if ((os !== '' && os !== platform.os) || named.texts('os.features').length > 0) return undefined;
  const rank = accepted.indexOf(normal(named.text('architecture'), named.text('variant')));
  return rank < 0 ? undefined : rank;
}

/** "architecture/variant" of all that runs here, the best first. */
function acceptedBy({ architecture, variant = '' }: Platform): readonly string[] {
  if (architecture === 'amd64') return [...countedDown('amd64', variant, 1), normal('386', '')];
  if (architecture !== 'arm64') return [normal(architecture, variant)];
  const [, major = '8', minor = '0'] = /^v([89])(?:\.(\d))?$/.exec(variant) ?? [];
  // Armv9.n has all of Armv8.(n+5).
  const eights = major === '9' ? Number(minor) + 5 : Number(minor);
  return [
    ...(major === '9' ? armLevels('9', Number(minor)) : []),
    ...armLevels('8', eights),
    ...countedDown('arm', 'v8', 5),
  ];
}

function armLevels(major: string, minor: number): readonly string[] {
  return Array.from({ length: minor + 1 }, (_, below) => normal('arm64', `v${major}.${minor - below}`));
}

function countedDown(architecture: string, variant: string, least: number): readonly string[] {
  const most = Math.max(least, Number(/^v(\d)$/.exec(variant)?.[1] ?? least));
  return Array.from({ length: most - least + 1 }, (_, below) => normal(architecture, `v${most - below}`));
}

const architectureNames: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  i386: ['386', ''],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};

/** Variants that mean the same; "" is what the architecture alone means. */
const variantNames: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  amd64: { v1: '' },
  arm64: { '8': '', v8: '', 'v8.0': '', '9': 'v9', '9.0': 'v9', 'v9.0': 'v9' },
  arm: { '': 'v7', '5': 'v5', '6': 'v6', '7': 'v7', '8': 'v8' },
};

function normal(architecture: string, variant: string): string {
  const lower = architecture.toLowerCase();
  const [name, fixed] = (Object.hasOwn(architectureNames, lower) && architectureNames[lower]) || ([lower] as const);
  const spelled = fixed ?? variant.toLowerCase();
  return `${name}/${variantNames[name]?.[spelled] ?? spelled}`;
}
