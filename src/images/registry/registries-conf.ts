import { BerthError } from '#base/errors';
import type { OnUnknown } from './owner-files.ts';
import { OwnerTable } from './owner-table.ts';

/** One [[registry]] of a registries.conf, version 2. */
export interface RegistryRule {
  /** "host", "host:port", with a namespace or repository, or "*.domain". */
  readonly prefix: string;
  /** What takes the prefix's place; "" leaves the name as it is. */
  readonly location: string;
  readonly insecure: boolean;
  readonly blocked: boolean;
  readonly mirrors: readonly MirrorRule[];
}

export interface MirrorRule {
  readonly location: string;
  readonly insecure: boolean;
  readonly pulls: 'all' | 'digest-only' | 'tag-only';
}

const fileKeys = [
  ...['registry', 'unqualified-search-registries', 'short-name-mode', 'aliases', 'credential-helpers'],
  'additional-layer-store-auth-helper',
] as const;
const registryKeys = ['prefix', 'location', 'insecure', 'blocked', 'mirror', 'mirror-by-digest-only'] as const;
const mirrorKeys = ['location', 'insecure', 'pull-from-mirror'] as const;

/**
 * Reads registries.conf(5). Short names (`unqualified-search-registries`, aliases) are left alone: names are complete
 * before they get here, and guessing a registry lets another one answer.
 *
 * @param onUnknown is told the keys that registries.conf(5) does not have, which are passed over
 * @throws CONFIG_INVALID
 */
export function parseRegistriesConf(
  text: string,
  file: string,
  onUnknown: OnUnknown = () => undefined,
): readonly RegistryRule[] {
  const table = OwnerTable.parse(text, file);
  if (table.value('registries') !== undefined) {
    throw new BerthError('CONFIG_INVALID', `${file} is of version 1: write its registries as [[registry]] tables`);
  }
  const registries = table.list('registry');
  onUnknown([table.unknownKeys(fileKeys), ...registries.map(unknownIn)].flat());
  return registries.map(ruleOf);
}

function unknownIn(registry: OwnerTable): readonly string[] {
  const mirrors = registry.list('mirror').flatMap((mirror) => mirror.unknownKeys(mirrorKeys));
  return [...registry.unknownKeys(registryKeys), ...mirrors];
}

function ruleOf(table: OwnerTable): RegistryRule {
  const location = placeOf(table, 'location');
  const prefix = placeOf(table, 'prefix') || location;
  if (prefix === '') throw table.wrong('prefix', 'there, nor is location: one of them names the registry');
  const byDigestOnly = table.flag('mirror-by-digest-only') ?? false;
  const mirrors = table.list('mirror').map((mirror) => mirrorOf(mirror, byDigestOnly));
  const { insecure, blocked } = { insecure: table.flag('insecure') ?? false, blocked: table.flag('blocked') ?? false };
  return { prefix, location, insecure, blocked, mirrors };
}

function mirrorOf(table: OwnerTable, byDigestOnly: boolean): MirrorRule {
  const location = placeOf(table, 'location');
  if (location === '') throw table.wrong('location', 'there');
  const pulls = table.text('pull-from-mirror') ?? (byDigestOnly ? 'digest-only' : 'all');
  if (pulls !== 'all' && pulls !== 'digest-only' && pulls !== 'tag-only') {
    throw table.wrong('pull-from-mirror', 'one of "all", "digest-only" and "tag-only"');
  }
  return { location, insecure: table.flag('insecure') ?? false, pulls };
}

/** "host[:port][/namespace]", without a closing slash. */
function placeOf(table: OwnerTable, key: string): string {
  const text = (table.text(key) ?? '').replace(/\/+$/, '');
  if (text.includes('://') || /[\s?#@]/.test(text))
    throw table.wrong(key, '"host[:port][/namespace]" without "https://"');
  return text;
}

/** The rule with the longest prefix of "host/path" (with tag or digest); a later rule of the same prefix counts. */
export function ruleFor(rules: readonly RegistryRule[], name: string): RegistryRule | undefined {
  let best: RegistryRule | undefined;
  let bestLength = 0;
  for (const rule of rules) {
    const length = matchLength(rule.prefix, name);
    if (length > 0 && length >= bestLength) {
      best = rule;
      bestLength = length;
    }
  }
  return best;
}

/** How much of the name the prefix covers; 0 for none. A wildcard weighs less than any name of a host. */
function matchLength(prefix: string, name: string): number {
  if (prefix.startsWith('*.')) {
    const [host = ''] = name.split('/', 1);
    const bare = host.replace(/:\d+$/, '');
    const end = prefix.slice(1);
    return bare.endsWith(end) && bare.length > end.length ? end.length / 1024 : 0;
  }
  if (!name.startsWith(prefix)) return 0;
  const next = name.charAt(prefix.length);
  // After a host alone, ":" starts a port, and "host:5000" is another registry than "host".
  const ends = prefix.includes('/') ? ['', '/', ':', '@'] : ['', '/'];
  return ends.includes(next) ? prefix.length : 0;
}

/** "host/path" below another location. */
export function rewrite(name: string, prefix: string, location: string): string {
  if (location === '') return name;
  // A wildcard's location replaces the host.
  const covered = prefix.startsWith('*.') ? name.indexOf('/') : prefix.length;
  return `${location}${name.slice(covered)}`;
}
