import { constants, release } from 'node:os';
import type { OciSeccomp, OciSyscall } from '#runtime/spec/oci';
import { nativeArchitectures, usualFlags } from './resolve.ts';
import {
  profileActions,
  profileArchitectures,
  profileFields,
  profileFlags,
  profileOperators,
  type Row,
} from './profile-fields.ts';

/** A profile that was read. What a rule still depends on is the container's capabilities. */
export interface SeccompProfile extends OciSeccomp {
  readonly syscalls: readonly ConditionalSyscall[];
}

export interface ConditionalSyscall extends OciSyscall {
  /** All of them. */
  readonly withCaps?: readonly string[];
  /** None of them. */
  readonly withoutCaps?: readonly string[];
}

export interface ParsedProfile {
  /** Undefined for one that says nothing at all: no filter. */
  readonly profile: SeccompProfile | undefined;
  /** Fields that nobody knows, each once, so many at most as a warning can tell. */
  readonly unknown: readonly string[];
  /** How often there was one. */
  readonly unknownCount: number;
}

/** What a profile's conditions ask about. */
export interface Machine {
  /** As Node has it. */
  readonly arch: string;
  readonly release: string;
}

const thisMachine: Machine = { arch: process.arch, release: release() };
const goArches: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/**
 * Parses a profile of the OCI specification, with what Docker's and Podman's have beyond it (profile-fields.ts). As in Go,
 * null is nothing said, and the case of a field's letters does not matter. Numbers are bigint: comparison values are 64 bits
 * wide.
 *
 * @throws Error naming the field
 */
export function parseSeccompProfile(text: string, machine: Machine = thisMachine): ParsedProfile {
  const reader = new Reader();
  const top = reader.record(JSON.parse(text, exactIntegers), 'the profile', '');
  const rules = reader.list(top['syscalls'], 'syscalls').flatMap((each, at) => syscall(reader, each, at, machine));
  if (top['defaultAction'] === undefined && rules.length === 0) return { profile: undefined, ...reader.told() };
  const errno = errnoOf(reader, top['defaultErrno'], top['defaultErrnoRet'], ['defaultErrno', 'defaultErrnoRet']);
  const defaultAction = reader.word(top['defaultAction'], 'defaultAction', profileActions);
  checkErrno(defaultAction, errno, 'defaultErrnoRet');
  const profile = {
    defaultAction,
    ...(errno !== undefined && { defaultErrnoRet: errno }),
    architectures: architectures(reader, top, machine),
    flags: top['flags'] === undefined ? usualFlags : reader.words(top['flags'], 'flags', profileFlags),
    syscalls: rules,
  };
  for (const field of ['listenerPath', 'listenerMetadata']) reader.text(top[field] ?? '', field);
  return { profile, ...reader.told() };
}

/** The rules that count for a container with these capabilities. */
export function settleProfile({ syscalls, ...profile }: SeccompProfile, bounding: ReadonlySet<string>): OciSeccomp {
  const counts = ({ withCaps = [], withoutCaps = [] }: ConditionalSyscall): boolean =>
    withCaps.every((name) => bounding.has(name)) && !withoutCaps.some((name) => bounding.has(name));
  return {
    ...profile,
    syscalls: syscalls.filter(counts).map(({ withCaps: _with, withoutCaps: _without, ...rule }) => rule),
  };
}

/** JSON.parse with source text access (ES2025): integers keep all their digits. */
function exactIntegers(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  return typeof value === 'number' && source !== undefined && /^[0-9]+$/.test(source) ? BigInt(source) : value;
}

function architectures(reader: Reader, top: Fields, { arch }: Machine): readonly string[] {
  const known = (names: readonly string[], where: string): readonly string[] => {
    for (const name of names) {
      if (!profileArchitectures.has(name)) throw new Error(`${where}: architecture ${shown(name)} is unknown`);
    }
    return names;
  };
  const listed = known(reader.texts(top['architectures'], 'architectures'), 'architectures');
  const entries = reader.list(top['archMap'], 'archMap').map((each, at) => {
    const where = `archMap[${at}]`;
    const entry = reader.record(each, where, 'archMap[].');
    const name = reader.text(entry['architecture'] ?? '', `${where}.architecture`);
    return known([name, ...reader.texts(entry['subArchitectures'], `${where}.subArchitectures`)], where);
  });
  if (entries.length === 0) return listed;
  if (listed.length > 0) throw new Error('architectures and archMap are both set');
  return entries.find(([name]) => name === nativeArchitectures(arch)[0]) ?? [];
}

/** No rule when its conditions do not hold on this machine. */
function syscall(reader: Reader, value: unknown, at: number, machine: Machine): readonly ConditionalSyscall[] {
  const where = `syscalls[${at}]`;
  const entry = reader.record(value, where, 'syscalls[].');
  const action = reader.word(entry['action'], `${where}.action`, profileActions);
  const errnoRet = errnoOf(reader, entry['errno'], entry['errnoRet'], [`${where}.errno`, `${where}.errnoRet`]);
  checkErrno(action, errnoRet, `${where}.errnoRet`);
  const rule: OciSyscall = {
    names: names(reader, entry, where),
    action,
    ...(errnoRet !== undefined && { errnoRet }),
    args: reader
      .list(entry['args'], `${where}.args`)
      .map((each, index) => argument(reader, each, `${where}.args[${index}]`)),
  };
  reader.text(entry['comment'] ?? '', `${where}.comment`);
  const includes = condition(reader, entry['includes'], `${where}.includes`, machine);
  const excludes = condition(reader, entry['excludes'], `${where}.excludes`, machine);
  if (includes.arch === false || includes.kernel === false) return [];
  if (excludes.arch === true || excludes.kernel === true) return [];
  return [
    {
      ...rule,
      ...(includes.caps.length > 0 && { withCaps: includes.caps }),
      ...(excludes.caps.length > 0 && { withoutCaps: excludes.caps }),
    },
  ];
}

function names(reader: Reader, entry: Fields, where: string): readonly string[] {
  const many = reader.texts(entry['names'], `${where}.names`);
  const one = reader.text(entry['name'] ?? '', `${where}.name`);
  if (one !== '' && many.length > 0) throw new Error(`${where}: name and names are both set`);
  const all = one === '' ? many : [one];
  const none = all.find((each) => each === '' || each.includes('\0'));
  if (none !== undefined) throw new Error(`${where}.names: ${shown(none)} is no system call`);
  return all;
}

function argument(reader: Reader, value: unknown, where: string): OciSyscall['args'][number] {
  const fields = reader.record(value, where, 'syscalls[].args[].');
  return {
    index: Number(reader.integer(fields['index'], `${where}.index`, 5n)),
    value: reader.integer(fields['value'], `${where}.value`, 2n ** 64n - 1n),
    valueTwo: reader.integer(fields['valueTwo'], `${where}.valueTwo`, 2n ** 64n - 1n),
    op: reader.word(fields['op'], `${where}.op`, profileOperators),
  };
}

/** Undefined: nothing is said about it. */
interface Condition {
  readonly caps: readonly string[];
  readonly arch: boolean | undefined;
  readonly kernel: boolean | undefined;
}

function condition(reader: Reader, value: unknown, where: string, { arch, release }: Machine): Condition {
  const key = where.replace(/\[\d+\]/, '[]');
  const fields = value === undefined ? {} : reader.record(value, where, `${key}.`);
  const arches = reader.texts(fields['arches'], `${where}.arches`);
  const minKernel = reader.text(fields['minKernel'] ?? '', `${where}.minKernel`);
  return {
    caps: reader.texts(fields['caps'], `${where}.caps`),
    arch: arches.length === 0 ? undefined : arches.includes(goArches[arch] ?? arch),
    kernel: minKernel === '' ? undefined : isAtLeast(release, minKernel, `${where}.minKernel`),
  };
}

function isAtLeast(release: string, wanted: string, where: string): boolean {
  const numbers = (text: string): readonly number[] => /^(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number) ?? [];
  const [major = 0, minor = 0] = numbers(release);
  const [wantedMajor, wantedMinor = 0] = numbers(wanted);
  if (wantedMajor === undefined) throw new Error(`${where}: ${shown(wanted)} is not like 4.8`);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** By name, else by number; where neither is said, undefined. */
function errnoOf(reader: Reader, name: unknown, number: unknown, where: readonly [string, string]): number | undefined {
  const word = reader.text(name ?? '', where[0]);
  const plain = number === undefined ? undefined : Number(reader.integer(number, where[1], 2n ** 64n - 1n) & 0xffffn);
  if (word === '') return plain;
  const known = Object.entries(constants.errno).find(([each]) => each === word)?.[1];
  if (known === undefined) throw new Error(`${where[0]}: ${shown(word)} is no errno`);
  return known;
}

/** What the kernel would return as something else, libseccomp refuses. MAX_ERRNO of linux/err.h. */
function checkErrno(action: string, errno: number | undefined, where: string): void {
  if (action === 'SCMP_ACT_ERRNO' && errno !== undefined && errno > 4095)
    throw new Error(`${where} ${errno} is no errno`);
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 64));

type Fields = Readonly<Record<string, unknown>>;

/** Unknown fields that are told: a profile may have any number. */
const mostUnknown = 16;

/** The last names of the fields right below `key`, by their lower-case forms. */
function knownFields(key: string): ReadonlyMap<string, string> {
  return new Map(
    Object.keys(profileFields)
      .filter((field) => field.startsWith(key) && !/[.[]/.test(field.slice(key.length)))
      .map((field) => [field.slice(key.length).toLowerCase(), field.slice(key.length)]),
  );
}

class Reader {
  readonly #unknown = new Set<string>();
  #unknownCount = 0;
  /** By key: a profile may have tens of thousands of objects, which nobody else shall wait for. */
  readonly #known = new Map<string, ReadonlyMap<string, string>>();

  /** Of all that has been read so far. */
  told(): Omit<ParsedProfile, 'profile'> {
    return { unknown: [...this.#unknown], unknownCount: this.#unknownCount };
  }

  /** The fields that are known below `key`, by their own names; those that are null are left out. */
  record(value: unknown, where: string, key: string): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new Error(`${where} is not an object`);
    const known = this.#known.get(key) ?? knownFields(key);
    this.#known.set(key, known);
    const fields: Record<string, unknown> = {};
    for (const [name, each] of Object.entries(value)) {
      const field = known.get(name.toLowerCase());
      if (field === undefined) this.#tellUnknown(`${key}${name.slice(0, 64)}`);
      else if (each !== null) fields[field] = each;
    }
    return fields;
  }

  list(value: unknown, where: string): readonly unknown[] {
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw new Error(`${where} is not a list`);
    return value;
  }

  text(value: unknown, where: string): string {
    if (typeof value !== 'string') throw new Error(`${where} is not a string`);
    return value;
  }

  texts(value: unknown, where: string): readonly string[] {
    return this.list(value, where).map((each) => this.text(each, where));
  }

  integer(value: unknown, where: string, most: bigint): bigint {
    if (value === undefined) return 0n;
    if (typeof value !== 'bigint') throw new Error(`${where} is not a whole number`);
    if (value > most) throw new Error(`${where} is ${String(value).slice(0, 32)}, at most ${most} is possible`);
    return value;
  }

  /** One of a table's that is not refused. */
  word(value: unknown, where: string, table: Readonly<Record<string, Row>>): string {
    const word = this.text(value ?? '', where);
    const row = Object.hasOwn(table, word) ? table[word] : undefined;
    if (row === undefined) throw new Error(`${where}: ${shown(word)} is unknown`);
    if (row.is === 'refused') throw new Error(`${where}: ${word} is not supported: ${row.what}`);
    return word;
  }

  words(value: unknown, where: string, table: Readonly<Record<string, Row>>): readonly string[] {
    return this.list(value, where).map((each, at) => this.word(each, `${where}[${at}]`, table));
  }

  #tellUnknown(field: string): void {
    this.#unknownCount += 1;
    if (this.#unknown.size < mostUnknown) this.#unknown.add(field);
  }
}
