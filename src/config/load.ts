import { readdirSync } from 'node:fs';
import path from 'node:path';
import { parse, TomlError } from 'smol-toml';
import type { z } from 'zod';
import { readBoundedSync, UnfitFile } from '#base/bounded-file';
import { BerthError, errnoOf, isBerthError, messageOf } from '#base/errors';
import { didYouMean } from './did-you-mean.ts';
import { configSchema, pathsSchema, type ConfigFile } from './schema.ts';
import { toConfig, toPaths, type Config, type StatePaths } from './slices.ts';

export const defaultConfigFile = '/etc/berth/config.toml';
const maxFileBytes = 1024 * 1024;

export interface LoadOptions {
  /** A file that was named and therefore must exist; its drop-ins lie in `<directory>/config.d`. */
  readonly file?: string | undefined;
}

export interface LoadedConfig {
  readonly config: Config;
  /** The files' words, checked and complete. */
  readonly values: ConfigFile;
  /** The files that were read, in the order of their precedence. Empty: embedded defaults. */
  readonly files: readonly string[];
}

type Table = Record<string, unknown>;

/**
 * Reads the configuration: the file, then the `*.toml` of the directory `config.d` beside it in lexical order, a later
 * file overriding single keys of earlier ones.
 *
 * @throws CONFIG_INVALID naming file and key
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const merged = readFiles(options);
  const values = merged.check();
  return { config: toConfig(values), values, files: merged.files };
}

/** Where berthd keeps its state, for whoever needs nothing else of the configuration. */
export interface LoadedPaths {
  readonly paths: StatePaths;
  /** What is wrong elsewhere in the files, naming file and key; "" for nothing. */
  readonly mistake: string;
}

/**
 * As loadConfig, but a mistake in any other key is told instead of thrown: a running berthd, which keeps what it began with,
 * can be talked to all the same.
 *
 * @throws CONFIG_INVALID when the files cannot be read, are no TOML, or these keys are wrong
 */
export function loadPaths(options: LoadOptions = {}): LoadedPaths {
  const merged = readFiles(options);
  const paths = toPaths(merged.checkPaths());
  try {
    toConfig(merged.check());
    return { paths, mistake: '' };
  } catch (error) {
    if (!isBerthError(error, 'CONFIG_INVALID')) throw error;
    return { paths, mistake: error.message };
  }
}

function readFiles(options: LoadOptions): Merged {
  const file = options.file ?? defaultConfigFile;
  const merged = new Merged();
  const found = merged.addFile(file);
  if (!found && options.file !== undefined) {
    throw new BerthError('CONFIG_INVALID', `config file ${file} does not exist`, { details: { file } });
  }
  for (const name of dropIns(path.join(path.dirname(file), 'config.d'))) merged.addFile(name);
  return merged;
}

function dropIns(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith('.toml') && !name.startsWith('.'))
      .sort()
      .map((name) => path.join(directory, name));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw new BerthError('CONFIG_INVALID', `cannot read ${directory}: ${messageOf(error)}`, { cause: error });
  }
}

/** Files laid over one another, remembering which file said what. */
class Merged {
  readonly files: string[] = [];
  readonly #values: Table = {};
  readonly #origins = new Map<string, string>();

  /** False when there is no such file. */
  addFile(file: string): boolean {
    let text: string;
    try {
      text = readBoundedSync(file, maxFileBytes).toString('utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false;
      if (error instanceof UnfitFile) {
        throw new BerthError('CONFIG_INVALID', `config file ${file} ${error.message}`, { cause: error });
      }
      throw new BerthError('CONFIG_INVALID', `cannot read config file ${file}: ${messageOf(error)}`, { cause: error });
    }
    this.files.push(file);
    this.#merge(this.#values, parseToml(file, text), '', file);
    return true;
  }

  check(): ConfigFile {
    return this.#checked(configSchema);
  }

  checkPaths(): z.output<typeof pathsSchema> {
    return this.#checked(pathsSchema);
  }

  #checked<T extends z.ZodType>(schema: T): z.output<T> {
    const result = schema.safeParse(this.#values);
    if (result.success) return result.data;
    const problems = result.error.issues.flatMap((issue) => this.#sentences(issue));
    throw new BerthError('CONFIG_INVALID', problems.join('; '));
  }

  #merge(into: Table, from: Table, prefix: string, file: string): void {
    for (const [name, value] of Object.entries(from)) {
      const key = prefix === '' ? name : `${prefix}.${name}`;
      this.#origins.set(key, file);
      const before = Object.hasOwn(into, name) ? into[name] : undefined;
      const next = isTable(value) ? (isTable(before) ? before : {}) : value;
      // defineProperty: a key called __proto__ is a key like any other, and then unknown.
      Object.defineProperty(into, name, { value: next, enumerable: true, configurable: true, writable: true });
      if (isTable(value)) this.#merge(next as Table, value, key, file);
    }
  }

  #sentences(issue: z.core.$ZodIssue): string[] {
    const key = issue.path.join('.');
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((name) => {
        const unknown = key === '' ? name : `${key}.${name}`;
        return `${this.#where(unknown)}: unknown key ${unknown}${didYouMean(unknown)}`;
      });
    }
    return [`${this.#where(key)}: ${key}: ${expectation(issue)}`];
  }

  #where(key: string): string {
    // An item of a list has no file of its own: that of the list.
    const list = key.replace(/\.\d+$/, '');
    return this.#origins.get(key) ?? this.#origins.get(list) ?? this.files.at(-1) ?? 'config';
  }
}

/** "expected …" of the value's schema; of a choice, that of its last member (the first is the empty string). */
function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_union') {
    const last = issue.errors.at(-1)?.at(0);
    if (last !== undefined) return expectation(last);
  }
  return issue.message.startsWith('expected ') ? issue.message : 'expected a table of keys';
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function parseToml(file: string, text: string): Table {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [reason = 'not valid TOML'] = error.message.split('\n');
    throw new BerthError('CONFIG_INVALID', `${file}:${error.line}:${error.column}: ${reason}`, { cause: error });
  }
}
