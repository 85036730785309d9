// What a request's fields can carry and no kubelet sends.

const texts: readonly string[] = [
  '',
  '.',
  '..',
  '/',
  '../../../../escape',
  '/dev/null',
  '/proc/self/fd/0',
  'zzz',
  'two\nlines',
  'tab\tand\u007f\u0001\u001b[31m',
  'zero\u0000byte',
  '\u{1f980}/\u202e/ä',
  '%s%n $(reboot) `id` ; #',
  '__proto__',
  'constructor',
  'berth:shm',
  'x-berth.required',
  'io.kubernetes.cri.sandbox-id',
  ' ',
  ',=:',
  '-1',
  'x'.repeat(300),
  'y/'.repeat(2500),
  'z'.repeat(100_000),
];

/** As long as what takes its place in the encoded request: bytes that are no UTF-8. */
export const invalidMark = 'NOT-UTF-8';
export const invalidBytes = Buffer.from([0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80, 0x41, 0xf8]);

const numbers: readonly string[] = [
  '-9223372036854775808',
  '-2147483648',
  '-1',
  '0',
  '1',
  '3',
  '65536',
  '2147483647',
  '4294967295',
  '9223372036854775807',
];
const small: readonly number[] = [-2_147_483_648, -1, 0, 1, 65_536, 2_147_483_647];

export interface Variant<Config> {
  /** The field and what it carries. */
  readonly name: string;
  readonly config: Config;
}

/**
 * The config once for each field and each nonsense in it. A field whose text names a place on the node is in `below`, with
 * the directory that the nonsense is put under.
 */
export function variants<Config extends object>(
  config: Config,
  below: Readonly<Record<string, string>>,
): Variant<Config>[] {
  const found: Variant<Config>[] = [];
  const add = (path: readonly string[], value: unknown): void => {
    const copy = structuredClone(config);
    set(copy, path, value);
    found.push({ name: `${path.join('.')}: ${JSON.stringify(value).slice(0, 60)}`, config: copy });
  };
  for (const [path, value] of leaves(config, [])) {
    if (typeof value === 'boolean') add(path, !value);
    else if (typeof value === 'number') for (const one of small) add(path, one);
    else if (isNumber(value)) for (const one of numbers) add(path, one);
    else if (value instanceof Uint8Array) for (const one of [...texts, invalidMark]) add(path, Buffer.from(one));
    else for (const one of [...texts, invalidMark]) add(path, placed(one, below[path.join('.')]));
    if (isEnum(value)) add(path, 99);
  }
  for (const path of maps(config, [])) for (const one of [...texts, invalidMark]) add([...path, one], one);
  return found;
}

const placed = (text: string, directory: string | undefined): string =>
  directory === undefined || text === '' ? text : `${directory}/${text}`;
const isNumber = (value: unknown): boolean => typeof value === 'string' && /^-?\d+$/.test(value);
const isEnum = (value: unknown): boolean =>
  typeof value === 'string' && /^([A-Z][A-Z_]{2,}|Merge|RuntimeDefault|Unconfined)$/.test(value);
const isMap = (name: string | undefined): boolean =>
  ['labels', 'annotations', 'sysctls', 'unified'].includes(name ?? '');

function* leaves(value: unknown, path: readonly string[]): Generator<readonly [readonly string[], unknown]> {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) yield [path, value];
  else for (const [name, inner] of Object.entries(value)) yield* leaves(inner, [...path, name]);
}

function* maps(value: unknown, path: readonly string[]): Generator<readonly string[]> {
  if (typeof value !== 'object' || value === null) return;
  if (isMap(path.at(-1))) yield path;
  for (const [name, inner] of Object.entries(value)) yield* maps(inner, [...path, name]);
}

function set(target: object, path: readonly string[], value: unknown): void {
  const holder = path.slice(0, -1).reduce((at, name) => (at as Record<string, object>)[name] ?? {}, target);
  // A plain assignment of __proto__ would set no field.
  Object.defineProperty(holder, path.at(-1) ?? '', { value, enumerable: true, configurable: true, writable: true });
}
