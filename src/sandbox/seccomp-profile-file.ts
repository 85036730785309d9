import { readBounded, UnfitFile } from '#base/bounded-file';
import { BerthError, errnoOf, messageOf } from '#base/errors';
import type { OciSeccomp, OciSyscall } from '#runtime/spec/oci';

const maxProfileBytes = 1024 * 1024;

/** Reads a Localhost profile: a regular file of the node, named by its absolute path, at most 1 MiB. */
export async function readSeccompProfile(file: string): Promise<OciSeccomp> {
  if (!file.startsWith('/')) {
    throw new BerthError('INVALID_ARGUMENT', `seccomp profile ${file.slice(0, 256)} is not an absolute path`);
  }
  let text: string;
  try {
    text = (await readBounded(file, maxProfileBytes)).toString('utf8');
  } catch (cause) {
    if (cause instanceof UnfitFile) {
      const code = cause.tooLong ? 'RESOURCE_EXHAUSTED' : 'INVALID_ARGUMENT';
      throw new BerthError(code, `seccomp profile ${file} ${cause.message}`, { cause });
    }
    const missing = errnoOf(cause) === 'ENOENT' || errnoOf(cause) === 'ENOTDIR';
    const why = missing
      ? `seccomp profile ${file} does not exist`
      : `cannot read seccomp profile ${file}: ${messageOf(cause)}`;
    throw new BerthError('INVALID_ARGUMENT', why, { cause });
  }
  try {
    return parseSeccompProfile(text);
  } catch (cause) {
    throw new BerthError('INVALID_ARGUMENT', `seccomp profile ${file}: ${messageOf(cause)}`, { cause });
  }
}

/** Parses an OCI seccomp profile. Numbers are bigint: comparison values are 64 bits wide. */
export function parseSeccompProfile(text: string): OciSeccomp {
  const json: unknown = JSON.parse(text, exactIntegers);
  const profile = record(json, 'the profile');
  return {
    defaultAction: string(profile['defaultAction'], 'defaultAction'),
    ...optionalErrno(profile['defaultErrnoRet'], 'defaultErrnoRet', 'defaultErrnoRet'),
    architectures: profile['architectures'] === undefined ? [] : strings(profile['architectures'], 'architectures'),
    flags: profile['flags'] === undefined ? [] : strings(profile['flags'], 'flags'),
    syscalls: list(profile['syscalls'] ?? [], 'syscalls').map(parseSyscall),
  };
}

/** JSON.parse with source text access (ES2025): integers keep all their digits. */
function exactIntegers(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  return typeof value === 'number' && source !== undefined && /^[0-9]+$/.test(source) ? BigInt(source) : value;
}

function parseSyscall(value: unknown, at: number): OciSyscall {
  const where = `syscalls[${at}]`;
  const entry = record(value, where);
  return {
    names: strings(entry['names'], `${where}.names`),
    action: string(entry['action'], `${where}.action`),
    ...optionalErrno(entry['errnoRet'], `${where}.errnoRet`, 'errnoRet'),
    args: list(entry['args'] ?? [], `${where}.args`).map((arg, index) => {
      const fields = record(arg, `${where}.args[${index}]`);
      return {
        index: Number(integer(fields['index'] ?? 0n, `${where}.args[${index}].index`)),
        value: integer(fields['value'] ?? 0n, `${where}.args[${index}].value`),
        valueTwo: integer(fields['valueTwo'] ?? 0n, `${where}.args[${index}].valueTwo`),
        op: string(fields['op'], `${where}.args[${index}].op`),
      };
    }),
  };
}

function optionalErrno<K extends string>(value: unknown, where: string, key: K): { [P in K]?: number } {
  return value === undefined ? {} : ({ [key]: Number(integer(value, where)) } as { [P in K]?: number });
}

function record(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${where} is not an object`);
  return value as Record<string, unknown>;
}

function list(value: unknown, where: string): readonly unknown[] {
  if (value === null) return [];
  if (!Array.isArray(value)) throw new Error(`${where} is not a list`);
  return value;
}

function string(value: unknown, where: string): string {
  if (typeof value !== 'string') throw new Error(`${where} is not a string`);
  return value;
}

function strings(value: unknown, where: string): readonly string[] {
  return list(value, where).map((each) => string(each, where));
}

function integer(value: unknown, where: string): bigint {
  if (typeof value !== 'bigint') throw new Error(`${where} is not a whole number`);
  return value;
}
