import { BerthError } from '#base/errors';

/** Manifests, indexes and configs: more is no honest image. */
export const maxDocumentBytes = 4 * 1024 * 1024;

const maxItems = 10_000;

/**
 * Reads a JSON document that came with an image.
 *
 * @param what names the document in errors: "config sha256:…"
 * @throws IMAGE_INVALID
 */
export function parseUntrusted(bytes: Uint8Array, what: string): UntrustedObject {
  if (bytes.length > maxDocumentBytes) {
    throw new BerthError('IMAGE_INVALID', `${what} is larger than ${maxDocumentBytes} bytes`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new BerthError('IMAGE_INVALID', `${what} is not JSON`, { cause: error });
  }
  return new UntrustedObject(value, what);
}

/** One object of an untrusted document. Every getter checks kind and bounds; null counts as missing. */
export class UntrustedObject {
  readonly #fields: object;
  readonly what: string;

  constructor(value: unknown, what: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new BerthError('IMAGE_INVALID', `${what} is not an object`);
    }
    this.#fields = value;
    this.what = what;
  }

  /** Without the key, or with null: undefined. Never what Object.prototype has under that name. */
  #get(key: string): unknown {
    if (!Object.hasOwn(this.#fields, key)) return undefined;
    return (this.#fields as Record<string, unknown>)[key] ?? undefined;
  }

  #fail(key: string, wanted: string): BerthError {
    return new BerthError('IMAGE_INVALID', `${key} of ${this.what} is not ${wanted}`);
  }

  /** Whether the key is there with any value but null. */
  has(key: string): boolean {
    return this.#get(key) !== undefined;
  }

  text(key: string): string {
    const value = this.#get(key) ?? '';
    if (typeof value !== 'string') throw this.#fail(key, 'a string');
    return value;
  }

  number(key: string): number | undefined {
    const value = this.#get(key);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw this.#fail(key, 'a size');
    return value;
  }

  texts(key: string): readonly string[] {
    const value = this.#get(key) ?? [];
    if (!Array.isArray(value) || value.length > maxItems)
      throw this.#fail(key, `a list of at most ${maxItems} strings`);
    return value.map((item: unknown) => {
      if (typeof item !== 'string') throw this.#fail(key, 'a list of strings');
      return item;
    });
  }

  /** A map of strings. The result has own keys only, whatever their names. */
  textMap(key: string): Readonly<Record<string, string>> {
    const entries = this.#entries(key).map(([name, value]): [string, string] => {
      if (typeof value !== 'string') throw this.#fail(key, 'a map of strings');
      return [name, value];
    });
    return Object.fromEntries(entries);
  }

  /** The keys of a map whose values mean nothing. */
  keys(key: string): readonly string[] {
    return this.#entries(key).map(([name]) => name);
  }

  object(key: string): UntrustedObject | undefined {
    const value = this.#get(key);
    return value === undefined ? undefined : new UntrustedObject(value, `${key} of ${this.what}`);
  }

  objects(key: string): readonly UntrustedObject[] {
    const value = this.#get(key) ?? [];
    if (!Array.isArray(value) || value.length > maxItems)
      throw this.#fail(key, `a list of at most ${maxItems} objects`);
    return value.map((item: unknown, index) => new UntrustedObject(item, `${key}[${index}] of ${this.what}`));
  }

  #entries(key: string): [string, unknown][] {
    const value = this.#get(key);
    if (value === undefined) return [];
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.#fail(key, 'a map');
    const entries = Object.entries(value);
    if (entries.length > maxItems) throw this.#fail(key, `a map of at most ${maxItems} entries`);
    return entries;
  }
}
