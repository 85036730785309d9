import { BerthError, messageOf } from '#base/errors';
import type { CollectionSpec } from './collection.ts';

/**
 * A record as it lies on disk: JSON with the version of its shape, the boot that wrote it, and the paths of its bigint
 * values, which JSON carries as decimal strings. The paths stand outside the value, so that no text inside a value (a
 * label of some image) can pass for a number.
 */
interface Envelope {
  readonly v: number;
  readonly bootId: string;
  readonly value: unknown;
  readonly bigints?: readonly (readonly (string | number)[])[];
}

/** What reading one record gives: the value, and whether an older version was migrated (then it is written back). */
export type Decoded<T> =
  | { readonly ok: true; readonly value: T; readonly bootId: string; readonly migrated: boolean }
  | { readonly ok: false; readonly reason: string };

const maxDepth = 64;

/** @throws INTERNAL when the value is not plain data */
export function encodeRecord(version: number, bootId: string, value: unknown): string {
  if (value === undefined) throw notPlain([], 'is undefined');
  const bigints: (string | number)[][] = [];
  const plain = toPlain(value, [], bigints);
  const envelope: Envelope = { v: version, bootId, value: plain, ...(bigints.length > 0 && { bigints }) };
  return JSON.stringify(envelope);
}

/** Never throws: what cannot be read has a reason, and the caller moves it aside. */
export function decodeRecord<T>(spec: CollectionSpec<T>, raw: string): Decoded<T> {
  try {
    const envelope: unknown = JSON.parse(raw);
    if (!isEnvelope(envelope)) return { ok: false, reason: 'not a record: v, bootId or value is missing' };
    if (envelope.v > spec.version) {
      return { ok: false, reason: `version ${envelope.v} is newer than ${spec.version}, the newest known here` };
    }
    let value = restoreBigints(envelope);
    for (let version = envelope.v; version < spec.version; version++) {
      const migrate = spec.migrations?.[version];
      if (!migrate) return { ok: false, reason: `no migration from version ${version} to ${version + 1}` };
      value = migrate(value);
    }
    const parsed = deepFreeze(spec.parse(value));
    return { ok: true, value: parsed, bootId: envelope.bootId, migrated: envelope.v < spec.version };
  } catch (error) {
    return { ok: false, reason: messageOf(error) };
  }
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
  const { v, bootId, bigints } = value as Partial<Record<keyof Envelope, unknown>>;
  return (
    Number.isInteger(v) &&
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
