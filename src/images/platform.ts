import { BerthError } from '#base/errors';
import type { UntrustedObject } from './untrusted.ts';

/** What this node runs, in the words of image indexes. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

const architectures: Readonly<Record<string, Platform>> = {
  x64: { os: 'linux', architecture: 'amd64' },
  arm64: { os: 'linux', architecture: 'arm64', variant: 'v8' },
};

export function hostPlatform(arch: string = process.arch): Platform {
  const platform = architectures[arch];
  if (!platform) throw new BerthError('UNIMPLEMENTED', `images for ${arch} are not known`);
  return platform;
}

/** Whether an index entry is for this node. An entry that names no platform is for every one. */
export function matchesPlatform(entry: UntrustedObject, platform: Platform): boolean {
  const wanted = entry.object('platform');
  if (!wanted) return true;
  const variant = wanted.text('variant');
  return (
    wanted.text('os') === platform.os &&
    wanted.text('architecture') === platform.architecture &&
    (variant === '' || platform.variant === undefined || variant === platform.variant)
  );
}
