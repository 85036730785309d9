import { createHash } from 'node:crypto';
import { BerthError, errnoOf, messageOf } from '#base/errors';
import type { Addon, SeccompInput } from '#linux/addon';
import type { OciSeccomp } from '#runtime/spec/oci';
import { filterFlags, toSeccompInput } from './resolve.ts';

/** What a process is given: a program, and the flags to load it with. */
export interface SeccompFilter {
  /** Bytes of struct sock_filter. */
  readonly program: Uint8Array;
  readonly flags: number;
}

/** Compiled filters kept at once; a profile is some 10 KiB. */
const cacheLimit = 64;

/** Longer than a filter can be; what libseccomp cannot join, as an architecture of the other byte order. */
const faultsOfProfiles = new Set(['E2BIG', 'EDOM', 'EINVAL']);

/**
 * Compiles seccomp profiles once: libseccomp takes some 10 ms for a profile of the usual size, a look-up nothing. Keyed
 * by content, so that equal profiles of different pods share a filter.
 */
export class SeccompFilters {
  readonly #addon: Pick<Addon, 'compileSeccomp'>;
  readonly #compiled = new Map<string, Promise<SeccompFilter>>();

  constructor(addon: Pick<Addon, 'compileSeccomp'>) {
    this.#addon = addon;
  }

  async get(profile: OciSeccomp): Promise<SeccompFilter> {
    const key = keyOf(profile);
    const known = this.#compiled.get(key);
    if (known) {
      this.#compiled.delete(key);
      this.#compiled.set(key, known);
      return known;
    }
    const compiling = this.#compile(toSeccompInput(profile), filterFlags(profile));
    this.#compiled.set(key, compiling);
    const oldest = this.#compiled.size > cacheLimit ? this.#compiled.keys().next().value : undefined;
    if (oldest !== undefined) this.#compiled.delete(oldest);
    try {
      return await compiling;
    } catch (error) {
      this.#compiled.delete(key);
      throw error;
    }
  }

  async #compile(input: SeccompInput, flags: number): Promise<SeccompFilter> {
    try {
      return { program: await this.#addon.compileSeccomp(input), flags };
    } catch (error) {
      if (!faultsOfProfiles.has(errnoOf(error) ?? '')) throw error;
      throw new BerthError('INVALID_ARGUMENT', `seccomp profile: ${messageOf(error)}`, { cause: error });
    }
  }
}

// Profiles made by defaultProfile are the same object again and again: their hash is remembered.
const keys = new WeakMap<OciSeccomp, string>();

function keyOf(profile: OciSeccomp): string {
  let key = keys.get(profile);
  if (key === undefined) {
    const text = JSON.stringify(profile, (_name, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));
    key = createHash('sha256').update(text).digest('hex');
    keys.set(profile, key);
  }
  return key;
}
