import { parse, TomlError } from 'smol-toml';
import { BerthError } from '#base/errors';
import { didYouMeanOneOf } from '#base/nearest-name';

/** Letters of an unknown key in a message. */
const maxShownKey = 100;

/** One table of a TOML file that the owner wrote. Every getter checks the kind; errors name file and key. */
export class OwnerTable {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly file: string;
  readonly #name: string;

  constructor(values: Readonly<Record<string, unknown>>, file: string, name = '') {
    this.#values = values;
    this.file = file;
    this.#name = name;
  }

  static parse(text: string, file: string): OwnerTable {
    try {
      return new OwnerTable(parse(text), file);
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      const [reason = 'not valid TOML'] = error.message.split('\n');
      throw new BerthError('CONFIG_INVALID', `${file}:${error.line}:${error.column}: ${reason}`, { cause: error });
    }
  }

  /** As it stands there, for values of several kinds. */
  value(key: string): unknown {
    return Object.hasOwn(this.#values, key) ? this.#values[key] : undefined;
  }

  text(key: string): string | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === 'string') return value;
    throw this.wrong(key, 'a string');
  }

  flag(key: string): boolean | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.wrong(key, 'true or false');
  }

  texts(key: string): readonly string[] | undefined {
    const value = this.value(key);
    if (value === undefined || isTexts(value)) return value;
    throw this.wrong(key, 'a list of strings');
  }

  /** The named tables in a table, in the order of the file. */
  named(key: string): readonly (readonly [name: string, table: OwnerTable])[] {
    const value = this.value(key) ?? {};
    if (!isTable(value)) throw this.wrong(key, 'a table');
    return Object.entries(value).map(([name, inner]) => {
      if (!isTable(inner)) throw this.wrong(`${key}.${JSON.stringify(name)}`, 'a table');
      return [name, new OwnerTable(inner, this.file, this.#full(`${key}.${JSON.stringify(name)}`))];
    });
  }

  list(key: string): readonly OwnerTable[] {
    const value = this.value(key) ?? [];
    if (!Array.isArray(value) || !value.every(isTable)) throw this.wrong(key, 'a list of tables');
    return value.map((inner, index) => new OwnerTable(inner, this.file, this.#full(`${key}[${index}]`)));
  }

  /** The keys that `known` does not have, each with what may have been meant. */
  unknownKeys(known: readonly string[]): readonly string[] {
    return Object.keys(this.#values)
      .filter((key) => !known.includes(key))
      .map((key) => `${this.#full(shown(key))}${didYouMeanOneOf(key, known)}`);
  }

  wrong(key: string, wanted: string): BerthError {
    return new BerthError('CONFIG_INVALID', `${this.file}: ${this.#full(key)} is not ${wanted}`);
  }

  #full(key: string): string {
    return this.#name === '' ? key : `${this.#name}.${key}`;
  }
}

/** As TOML writes it; a file may have anything for a key. */
function shown(key: string): string {
  return /^[\w-]{1,100}$/.test(key) ? key : JSON.stringify(key.slice(0, maxShownKey));
}

export function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
