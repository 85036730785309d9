import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '#base/errors';
import { describeConfig } from './describe.ts';
import type { LoadedConfig } from './load.ts';
import type { ConfigFile } from './schema.ts';
import { toConfig, type Config } from './slices.ts';

/** One key whose value in the files is not the one berthd runs with. */
export interface ConfigChange {
  readonly key: string;
  readonly from: unknown;
  readonly to: unknown;
  /** False: berthd goes on with the old value until it is started again. */
  readonly applied: boolean;
}

/** What a reload did. */
export interface ReloadReport {
  /** ISO 8601. */
  readonly at: string;
  /** Why nothing was taken over; "" when the files are right. */
  readonly error: string;
  readonly files: readonly string[];
  readonly changes: readonly ConfigChange[];
}

export interface LiveConfigOptions {
  readonly first: LoadedConfig;
  /** Reads the files again. */
  readonly load: () => LoadedConfig;
  readonly now: () => Date;
}

/**
 * The config berthd runs with. A reload takes over the keys that the schema marks as live and tells of the others; files
 * with a mistake change nothing at all.
 */
export class LiveConfig {
  readonly #options: LiveConfigOptions;
  readonly #appliers: ((config: Config) => void)[] = [];
  #values: ConfigFile;
  #current: Config;
  #last: ReloadReport | undefined;

  constructor(options: LiveConfigOptions) {
    this.#options = options;
    this.#values = options.first.values;
    this.#current = options.first.config;
  }

  get current(): Config {
    return this.#current;
  }

  /** Undefined: it was not tried yet. */
  get lastReload(): ReloadReport | undefined {
    return this.#last;
  }

  /** For modules that are told; others ask for `current` each time. */
  onChange(apply: (config: Config) => void): void {
    this.#appliers.push(apply);
  }

  /** Never throws: what is wrong with the files is in the report. */
  reload(): ReloadReport {
    const at = this.#options.now().toISOString();
    try {
      const loaded = this.#options.load();
      const changes = configChanges(this.#values, loaded.values);
      const values = withChanges(this.#values, changes);
      const config = toConfig(values);
      this.#values = values;
      this.#current = config;
      for (const apply of this.#appliers) apply(config);
      this.#last = { at, error: '', files: loaded.files, changes };
    } catch (error) {
      this.#last = { at, error: messageOf(error), files: [], changes: [] };
    }
    return this.#last;
  }
}

/** Keys in which the two differ, in the schema's order. */
export function configChanges(before: ConfigFile, after: ConfigFile): readonly ConfigChange[] {
  return describeConfig().flatMap(({ group, keys }) =>
    keys.flatMap(({ key, live }) => {
      const name = group === '' ? key : `${group}.${key}`;
      const [from, to] = [valueOf(before, group, key), valueOf(after, group, key)];
      return isDeepStrictEqual(from, to) ? [] : [{ key: name, from, to, applied: live }];
    }),
  );
}

type Table = Record<string, unknown>;

function valueOf(values: ConfigFile, group: string, key: string): unknown {
  const all = values as unknown as Table;
  return group === '' ? all[key] : (all[group] as Table)[key];
}

function withChanges(values: ConfigFile, changes: readonly ConfigChange[]): ConfigFile {
  const copy: Table = { ...values };
  for (const { key, to, applied } of changes) {
    if (!applied) continue;
    const [name = '', inner] = key.split('.');
    copy[name] = inner === undefined ? to : { ...(copy[name] as Table), [inner]: to };
  }
  return copy as unknown as ConfigFile;
}

/** A slice whose every key is asked for anew: for modules that keep what they were given. */
export function liveSlice<T extends object>(read: () => T): T {
  const view = {};
  for (const key of Object.keys(read()) as (keyof T & string)[]) {
    Object.defineProperty(view, key, { enumerable: true, get: () => read()[key] });
  }
  return view as T;
}
