import { crc32 } from 'node:zlib';
import { BerthError, messageOf } from '#base/errors';
import type { RecordSpec } from './collection.ts';

/**
 * A record as it lies on disk: JSON with the version of its shape, the boot that wrote it, and the paths of its bigint
 * values, which JSON carries as decimal strings. The paths stand outside the value, so that no text inside a value (a
 * label of some image) can pass for a number. The sum tells a record that was damaged from one that is true: JSON of
 * which a digit has changed is JSON still.
 */
interface Envelope {
  readonly v: number;
  readonly bootId: string;
  readonly value: unknown;
  /** CRC-32 of the JSON of value, bigints and boot. The first berthd had none. */
  readonly sum?: number;
  readonly bigints?: readonly (readonly (string | number)[])[];
}

/** How the version of a record stands to the one that is written here. */
export type RecordAge = 'older' | 'same' | 'newer';

/** What reading one record gives. A newer one that has all that is known here is read as if it were of this version. */
export type Decoded<T> =
  | { readonly ok: true; readonly value: T; readonly bootId: string; readonly age: RecordAge }
  | { readonly ok: false; readonly reason: string; readonly newer: boolean };

const maxDepth = 64;

/** @throws INTERNAL when the value is not plain data */
export function encodeRecord(version: number, bootId: string, value: unknown): string {
  if (value === undefined) throw notPlain([], 'is undefined');
  const bigints: (string | number)[][] = [];
  const plain = toPlain(value, [], bigints);
  const text = JSON.stringify(plain);
  const numbers = JSON.stringify(bigints);
  // An Envelope, put together by hand: the value, which is most of it, is made text once.
  const head = JSON.stringify({ v: version, bootId, sum: sumOf(text, numbers, bootId) }).slice(0, -1);
  return `${head},"value":${text}${bigints.length > 0 ? `,"bigints":${numbers}` : ''}}`;
}

/**
 * Never throws: what cannot be read has a reason, and the caller moves it aside.
 *
 * @param id it was found under; a record of another one is none
 */
export function decodeRecord<T>(spec: RecordSpec<T>, raw: string, id: string): Decoded<T> {
  let newer = false;
  try {
    const envelope: unknown = JSON.parse(raw);
    if (!isEnvelope(envelope)) throw new Error('not a record: v, bootId or value is missing');
    checkSum(envelope);
    newer = envelope.v > spec.version;
    let value = restoreBigints(envelope);
    for (let version = envelope.v; version < spec.version; version++) {
      const migrate = spec.migrations?.[version];
      if (!migrate) throw new Error(`no migration from version ${version} to ${version + 1}`);
      value = migrate(value);
    }
    const parsed = deepFreeze(spec.parse(value));
    const own = spec.idOf?.(parsed) ?? id;
    if (own !== id) throw new Error(`it is the record of ${own.slice(0, 80)}`);
    const age = newer ? 'newer' : envelope.v < spec.version ? 'older' : 'same';
    return { ok: true, value: parsed, bootId: envelope.bootId, age };
  } catch (error) {
    return { ok: false, reason: messageOf(error), newer };
  }
}

function checkSum({ value, bigints, bootId, sum }: Envelope): void {
  // What was JSON once is the same JSON again.
  if (sum === undefined || sum === sumOf(JSON.stringify(value), JSON.stringify(bigints ?? []), bootId)) return;
  throw new Error('damaged: its sum is wrong');
}

function sumOf(value: string, bigints: string, bootId: string): number {
  return crc32(bootId, crc32(bigints, crc32(value)));
}

/** Freezes plain data to the last leaf, in place. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  Object.freeze(value);
  for (const child of Object.values(value)) deepFreeze<unknown>(child);
  return value;
}

function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== 'object' || value === null) return false;
  const { v, bootId, bigints, sum } = value as Partial<Record<keyof Envelope, unknown>>;
  return (
    Number.isInteger(v) &&
    (sum === undefined || typeof sum === 'number') &&
    typeof bootId === 'string' &&
    'value' in value &&
    (bigints === undefined || Array.isArray(bigints))
  );
}

/** @param path of the value, changed on the way down and the same again at the end: a copy per leaf would cost most */
function toPlain(value: unknown, path: (string | number)[], bigints: (string | number)[][]): unknown {
  if (path.length > maxDepth) throw notPlain(path, `is nested deeper than ${maxDepth}`);
  switch (typeof value) {
    case 'bigint':
      bigints.push([...path]);
      return value.toString();
    case 'string':
    case 'boolean':
    case 'undefined':
      return value;
    case 'number':
      if (!Number.isFinite(value)) throw notPlain(path, 'is not a finite number');
      return value;
    case 'object':
      break;
    default:
      throw notPlain(path, `is a ${typeof value}`);
  }
  if (value === null) return null;
  const inner = (key: string | number, item: unknown): unknown => {
    path.push(key);
    const plain = toPlain(item, path, bigints);
    path.pop();
    return plain;
  };
  if (Array.isArray(value)) return value.map((item, index) => inner(index, item));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw notPlain(path, 'is not a plain object');
  // fromEntries defines own properties, so a label named __proto__ stays a label.
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inner(key, item)]));
}

function restoreBigints(envelope: Envelope): unknown {
  const holder: Record<string, unknown> = { value: envelope.value };
  for (const path of envelope.bigints ?? []) {
    let parent = holder;
    let key: string = 'value';
    for (const step of path) {
      const next = Object.hasOwn(parent, key) ? parent[key] : undefined;
      if (typeof next !== 'object' || next === null) throw new Error(`bigint path ${path.join('.')} leads nowhere`);
      parent = next as Record<string, unknown>;
      key = String(step);
    }
    const text = Object.hasOwn(parent, key) ? parent[key] : undefined;
    if (typeof text !== 'string' || !/^-?\d+$/.test(text)) throw new Error(`${path.join('.')} is not a decimal number`);
    Object.defineProperty(parent, key, { value: BigInt(text), enumerable: true, writable: true, configurable: true });
  }
  return holder['value'];
}

function notPlain(path: readonly (string | number)[], why: string): BerthError {
  return new BerthError('INTERNAL', `record cannot be stored: ${path.join('.') || 'its value'} ${why}`);
}
