import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import path from 'node:path';
import { z } from 'zod';

// The kinds of value a configuration key can have. Each says in its error what was expected, and carries the word that
// docs/config.md shows as its type.

/** What docs/config.md needs to know beyond the schema itself. */
export interface KeyNote {
  readonly type: string;
  readonly values?: readonly string[];
}

export const keyNotes = z.registry<KeyNote>();

/** Keys that a reload takes over; the others need a restart. */
const liveKeys = z.registry<{ readonly live: true }>();

/** Marks a finished key, default and meaning included. */
export function live<T extends z.ZodType>(key: T): T {
  liveKeys.add(key, { live: true });
  return key;
}

export function isLive(key: z.ZodType): boolean {
  return liveKeys.has(key);
}

/** The longest a unix socket's path may be; the kernel has 108 bytes including the closing zero. */
const socketPathLimit = 107;

function isCleanAbsolute(text: string): boolean {
  return path.isAbsolute(text) && path.normalize(text).replace(/(.)\/$/, '$1') === text && !text.includes('\0');
}

function string(expected: string, check: (text: string) => boolean): z.ZodString {
  return z.string({ error: `expected ${expected}` }).refine(check, { error: `expected ${expected}` });
}

export function absolutePath(): z.ZodString {
  const expected = 'an absolute path without ".." or a closing slash';
  return string(expected, isCleanAbsolute).register(keyNotes, { type: 'path' });
}

/** An absolute path, or "" for none. */
export function filePath(): z.ZodString {
  const expected = 'an absolute path without "..", or "" for none';
  return string(expected, (text) => text === '' || isCleanAbsolute(text)).register(keyNotes, { type: 'path' });
}

export function socketPath(): z.ZodString {
  const expected = `an absolute path of at most ${socketPathLimit} bytes`;
  return string(expected, (text) => isCleanAbsolute(text) && Buffer.byteLength(text) <= socketPathLimit).register(
    keyNotes,
    { type: 'path' },
  );
}

/** "host:port", "[v6]:port", or "" for off. */
export function listenAddress(): z.ZodString {
  return string('"address:port" with a literal IP address, or "" for off', (text) => {
    if (text === '') return true;
    const parts = splitAddress(text);
    return parts !== undefined && isIP(parts.host) !== 0 && parts.port <= 65_535;
  }).register(keyNotes, { type: 'address' });
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export function splitAddress(text: string): HostPort | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || match?.[3] === undefined) return undefined;
  return { host, port: Number(match[3]) };
}

/** A subnet of one family, or "" to do without it. */
export function subnet(family: 4 | 6): z.ZodString {
  const example = family === 4 ? '10.89.0.0/16' : 'fd89::/64';
  const bits = family === 4 ? 32 : 128;
  return string(`an IPv${family} subnet such as "${example}", or "" for none`, (text) => {
    if (text === '') return true;
    const [address = '', prefix = ''] = text.split('/');
    if (isIP(address) !== family || !/^[0-9]{1,3}$/.test(prefix)) return false;
    // Room for the network, the bridge and one pod at least.
    return Number(prefix) >= 8 && Number(prefix) <= bits - 2;
  }).register(keyNotes, { type: 'subnet' });
}

/** A registry as image names begin: "host" or "host:port". */
export function registryHost(): z.ZodString {
  return string('a registry such as "registry.example" or "[::1]:5000", without "https://"', (text) =>
    /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)(:[0-9]{1,5})?$/.test(text),
  ).register(keyNotes, { type: 'registry' });
}

export function imagePattern(): z.ZodString {
  return string('an image name, in which "*" stands for any characters', (text) =>
    /^[\w./:@*[\]-]{1,512}$/.test(text),
  ).register(keyNotes, { type: 'image pattern' });
}

const maxListItems = 256;

/** A list of values of one kind. A later file's list takes the place of an earlier one's. */
export function listOf(item: z.ZodString): z.ZodArray<z.ZodString> {
  const type = keyNotes.get(item)?.type ?? 'string';
  const error = `expected a list of at most ${maxListItems} values`;
  return z
    .array(item, { error })
    .max(maxListItems, { error })
    .register(keyNotes, { type: `list of ${type}` });
}

export function interfaceName(): z.ZodString {
  return string('a network interface name of 1 to 15 characters', (text) =>
    /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(text),
  ).register(keyNotes, { type: 'name' });
}

export function tableName(): z.ZodString {
  return string('a name of letters, digits and "_", at most 32 characters', (text) =>
    /^[A-Za-z_][A-Za-z0-9_]{0,31}$/.test(text),
  ).register(keyNotes, { type: 'name' });
}

export function cgroupPath(): z.ZodString {
  return string(
    'a control group path such as "/berth", below the root',
    (text) => isCleanAbsolute(text) && text !== '/',
  ).register(keyNotes, { type: 'control group path' });
}

export function boolean(): z.ZodBoolean {
  return z.boolean({ error: 'expected true or false' }).register(keyNotes, { type: 'boolean' });
}

export function integer(min: number, max: number): z.ZodInt {
  const error = `expected a whole number from ${min} to ${max}`;
  return z
    .int({ error })
    .min(min, { error })
    .max(max, { error })
    .register(keyNotes, { type: `integer ${min}–${max}` });
}

export function oneOf<const T extends readonly [string, ...string[]]>(values: T): z.ZodEnum<{ [K in T[number]]: K }> {
  const error = `expected one of ${values.map((value) => JSON.stringify(value)).join(', ')}`;
  return z.enum(values, { error }).register(keyNotes, { type: 'string', values });
}

/** What a limit of setrlimit(2) counts, and between what it makes sense. */
export interface LimitKind {
  /** "bytes", "open files". */
  readonly unit: string;
  /** With a smaller soft limit no container would start. */
  readonly least?: { readonly soft: bigint; readonly why: string };
  /** A file of the kernel with the greatest hard limit that it takes. */
  readonly mostFile?: string;
}

/** "soft:hard", or one number for both, each a whole number or "unlimited". A default is not checked. */
export function resourceLimit(kind: LimitKind): z.ZodString {
  const expected = `expected a limit in ${kind.unit}: "SOFT:HARD", or one for both, each a whole number without a suffix or "unlimited"`;
  return z
    .string({ error: `${expected}, in quotes` })
    .superRefine((text, ctx) => {
      const limit = splitLimit(text);
      const message = limit ? whyNoLimit(limit, kind) : `${expected}, not "${text.slice(0, 80)}"`;
      if (message !== undefined) ctx.addIssue({ code: 'custom', message });
    })
    .register(keyNotes, { type: `limit in ${kind.unit}` });
}

function whyNoLimit({ soft, hard }: SoftAndHard, { unit, least, mostFile }: LimitKind): string | undefined {
  if (soft > hard) {
    return `expected a soft limit that is not above the hard one (SOFT:HARD): ${shownLimit(soft)} is more than ${shownLimit(hard)} ${unit}`;
  }
  if (least && soft < least.soft) {
    return `expected a soft limit of at least ${least.soft} ${unit}, not ${soft}: ${least.why}`;
  }
  const most = mostFile === undefined ? undefined : kernelNumber(mostFile);
  if (most !== undefined && hard > most) {
    return `expected a hard limit of at most ${most} ${unit}, not ${shownLimit(hard)}: the kernel gives nobody more (${mostFile ?? ''})`;
  }
  return undefined;
}

/** Undefined where it cannot be read: the kernel will say it itself. */
function kernelNumber(file: string): bigint | undefined {
  try {
    return BigInt(readFileSync(file, 'utf8').trim());
  } catch {
    return undefined;
  }
}

export interface SoftAndHard {
  readonly soft: bigint;
  readonly hard: bigint;
}

/** RLIM_INFINITY. */
export const unlimited = 0xffff_ffff_ffff_ffffn;

export const shownLimit = (limit: bigint): string => (limit === unlimited ? 'unlimited' : String(limit));

/** Undefined when it is no limit. */
export function splitLimit(text: string): SoftAndHard | undefined {
  const values = text.split(':').map((word) => {
    if (word === 'unlimited') return unlimited;
    return /^[0-9]{1,18}$/.test(word) ? BigInt(word) : undefined;
  });
  const [soft, hard = soft] = values;
  return values.length > 2 || soft === undefined || hard === undefined ? undefined : { soft, hard };
}

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** Milliseconds of "500ms", "30s", "4m" or "1h"; undefined when it is none. */
export function durationMs(text: string): number | undefined {
  const match = /^([1-9][0-9]{0,8})(ms|s|m|h)$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
}

export function duration(): z.ZodString {
  const expected = 'a duration: a whole number from 1 and a unit, such as "500ms", "30s", "4m" or "1h"';
  return string(expected, (text) => durationMs(text) !== undefined).register(keyNotes, { type: 'duration' });
}
