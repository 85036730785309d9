import { BerthError } from '#base/errors';
import type { KnownFields } from '#base/field-tree';
import { folded, JsonLimit, JsonPairs, parseJsonPairs } from './json-pairs.ts';

/** Manifests, indexes and configs: more is no honest image. */
export const maxDocumentBytes = 4 * 1024 * 1024;

const maxItems = 10_000;

/**
 * Reads a JSON document that came with an image, as the peers do, which are written in Go: fields are found whatever the
 * case of their letters, a later one of the same name counts, and bytes that are no UTF-8 become U+FFFD
 * (encoding/json). What has the wrong kind is refused; no field is dropped for it.
 *
 * @param what names the document in errors: "config sha256:…"
 * @throws IMAGE_INVALID
 */
export function parseUntrusted(bytes: Uint8Array, what: string): UntrustedObject {
  return new UntrustedObject(parseUntrustedValue(bytes, what), what);
}

/** The same for a document that need not be an object. */
export function parseUntrustedValue(bytes: Uint8Array, what: string): unknown {
  if (bytes.length > maxDocumentBytes) {
    throw new BerthError('IMAGE_INVALID', `${what} is larger than ${maxDocumentBytes} bytes`);
  }
  try {
    return parseJsonPairs(new TextDecoder('utf-8').decode(bytes));
  } catch (error) {
    if (error instanceof JsonLimit) throw new BerthError('IMAGE_INVALID', `${what} ${error.message}`);
    throw new BerthError('IMAGE_INVALID', `${what} is not JSON`, { cause: error });
  }
}

/** One object of an untrusted document. Every getter checks kind and bounds; null counts as missing. */
export class UntrustedObject {
  /** By folded name. */
  readonly #fields = new Map<string, unknown[]>();
  readonly #pairs: JsonPairs;
  readonly what: string;

  constructor(value: unknown, what: string) {
    if (!(value instanceof JsonPairs)) throw new BerthError('IMAGE_INVALID', `${what} is not an object`);
    for (const [key, field] of value.pairs) {
      const name = folded(key);
      const before = this.#fields.get(name);
      if (before) before.push(field);
      else this.#fields.set(name, [field]);
    }
    this.#pairs = value;
    this.what = what;
  }

  /** Fields that the table does not have. */
  countUnknown(known: KnownFields): number {
    return known.countUnknown(this.#pairs);
  }

  /** What the key has, in the order of the document. */
  #all(key: string): readonly unknown[] {
    return this.#fields.get(folded(key)) ?? [];
  }

  /** The last value, to which null is one as well: lists and maps. */
  #last(key: string): unknown {
    return this.#all(key).at(-1) ?? undefined;
  }

  /** The last value but null, which to Go leaves a text or a number as it is. */
  #lastValue(key: string): unknown {
    return this.#all(key).findLast((value) => value !== null);
  }

  #fail(key: string, wanted: string): BerthError {
    return new BerthError('IMAGE_INVALID', `${key} of ${this.what} is not ${wanted}`);
  }

  /** Whether the key is there with any value but null. */
  has(key: string): boolean {
    return this.#lastValue(key) !== undefined;
  }

  text(key: string): string {
    const value = this.#lastValue(key) ?? '';
    if (typeof value !== 'string') throw this.#fail(key, 'a string');
    return value;
  }

  number(key: string): number | undefined {
    const value = this.#lastValue(key);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw this.#fail(key, 'a whole number');
    return value;
  }

  /** A null among them is "". */
  texts(key: string): readonly string[] {
    return this.#list(key, 'strings').map((item) => {
      if (item !== null && typeof item !== 'string') throw this.#fail(key, 'a list of strings');
      return item ?? '';
    });
  }

  /** A map of strings, null among them being "". The result has own keys only, whatever their names. */
  textMap(key: string): Readonly<Record<string, string>> {
    const entries = this.#entries(key).map(([name, value]): [string, string] => {
      if (value !== null && typeof value !== 'string') throw this.#fail(key, 'a map of strings');
      return [name, value ?? ''];
    });
    return Object.fromEntries(entries);
  }

  /** The keys of a map whose values mean nothing. */
  keys(key: string): readonly string[] {
    return [...new Set(this.#entries(key).map(([name]) => name))];
  }

  /** Of several objects under one key each adds its fields to those before it. */
  object(key: string): UntrustedObject | undefined {
    const what = `${key} of ${this.what}`;
    const values = this.#all(key).filter((value) => value !== null);
    if (values.length === 0) return undefined;
    return new UntrustedObject(
      together(values, () => new BerthError('IMAGE_INVALID', `${what} is not an object`)),
      what,
    );
  }

  objects(key: string): readonly UntrustedObject[] {
    return objectsOf(this.#last(key) ?? [], this.what, key);
  }

  #list(key: string, of: string): readonly unknown[] {
    const value = this.#last(key) ?? [];
    if (!isShortList(value)) throw this.#fail(key, `a list of at most ${maxItems} ${of}`);
    return value;
  }

  #entries(key: string): readonly (readonly [string, unknown])[] {
    const values = this.#all(key);
    // A null empties the map.
    const counted = values.slice(values.lastIndexOf(null) + 1);
    const { pairs } = together(counted, () => this.#fail(key, 'a map'));
    if (pairs.length > maxItems) throw this.#fail(key, `a map of at most ${maxItems} entries`);
    return pairs;
  }
}

/** A list of objects; a null among them is one without fields. `key` names it, if it is not the document itself. */
export function objectsOf(value: unknown, what: string, key?: string): readonly UntrustedObject[] {
  const list = key === undefined ? what : `${key} of ${what}`;
  if (!isShortList(value))
    throw new BerthError('IMAGE_INVALID', `${list} is not a list of at most ${maxItems} objects`);
  return value.map((item, index) => {
    const name = key === undefined ? `entry ${index} of ${what}` : `${key}[${index}] of ${what}`;
    return new UntrustedObject(item ?? new JsonPairs(), name);
  });
}

function isShortList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.length <= maxItems;
}

function together(values: readonly unknown[], failure: () => BerthError): JsonPairs {
  const all = new JsonPairs();
  for (const value of values) {
    if (!(value instanceof JsonPairs)) throw failure();
    for (const pair of value.pairs) all.pairs.push(pair);
  }
  return all;
}
