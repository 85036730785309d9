import type { StoreFiles } from './store.ts';

// What a store may suffer while no berthd has it open. Every choice comes from the seed.

type Random = () => number;
type Records = ReadonlyMap<string, string>;
type Changes = Map<string, string | undefined>;

const pick = <T>(random: Random, all: readonly T[]): T | undefined => all[Math.floor(random() * all.length)];

function some<T>(random: Random, all: readonly T[], atMost: number): T[] {
  const count = 1 + Math.floor(random() * atMost);
  return Array.from({ length: count }, () => pick(random, all)).filter((one) => one !== undefined);
}

/** Of single records: a change for some of them, or none. */
const recordDamages: Readonly<Record<string, (random: Random, records: Records) => Changes>> = {
  'raise versions': (random, records) =>
    each(random, records, (raw) => raw.replace(/^\{"v":\d+/, () => `{"v":${2 + Math.floor(random() * 90)}`)),
  'flip bytes': (random, records) => each(random, records, (raw) => flipped(random, Buffer.from(raw)).toString('utf8')),
  truncate: (random, records) => each(random, records, (raw) => raw.slice(0, Math.floor(random() * raw.length))),
  'delete rows': (random, records) => new Map(some(random, [...records.keys()], 5).map((key) => [key, undefined])),
  'delete a kind': (random, records) => {
    const kind = pick(random, [...new Set([...records.keys()].map((key) => key.split('/')[0] ?? ''))]) ?? '';
    return new Map([...records.keys()].filter((key) => key.startsWith(`${kind}/`)).map((key) => [key, undefined]));
  },
  'swap rows': (random, records) => {
    // One that says that it is newer and lies where it does not belong is no record that anybody could have written.
    const ours = [...records].filter(([, raw]) => raw.startsWith('{"v":1,')).map(([key]) => key);
    const one = pick(random, ours) ?? '';
    const alike = ours.filter((key) => key !== one && key.split('/')[0] === one.split('/')[0]);
    const other = pick(random, random() < 0.8 ? alike : ours);
    if (other === undefined) return new Map();
    return new Map([
      [one, records.get(other)],
      [other, records.get(one)],
    ]);
  },
};

/** Of the files of the database. */
const fileDamages: Readonly<Record<string, (random: Random, store: StoreFiles, file: string) => void>> = {
  'delete a file': (_random, store, file) => store.remove(file),
  'garbage in a file': (random, store, file) =>
    store.overwrite(file, (bytes) => Buffer.from(bytes.map(() => Math.floor(random() * 256)))),
  'flip bytes of a file': (random, store, file) => store.overwrite(file, (bytes) => flipped(random, bytes)),
  'truncate a file': (random, store, file) =>
    store.overwrite(file, (bytes) => bytes.subarray(0, Math.floor(random() * bytes.length))),
};

/** Does one to three things to the store; gives their names. */
export async function damageStore(random: Random, store: StoreFiles): Promise<string[]> {
  const done: string[] = [];
  if (random() < 0.1) {
    store.removeAll();
    return ['delete the store'];
  }
  if (random() < 0.8) {
    for (const name of some(random, Object.keys(recordDamages), 3)) {
      const changes = recordDamages[name]?.(random, await store.read()) ?? new Map<string, undefined>();
      await store.write(changes);
      done.push(`${name}: ${[...changes.keys()].map((key) => key.slice(0, 24)).join(' ')}`);
    }
  }
  if (done.length === 0 || random() < 0.3) {
    const name = pick(random, Object.keys(fileDamages)) ?? '';
    // The lock is no data; what the database says of itself in LOG is none either.
    const file = pick(
      random,
      store.files().filter((each) => !/^(LOCK|LOG)/.test(each)),
    );
    if (file !== undefined) fileDamages[name]?.(random, store, file);
    done.push(`${name}: ${file ?? ''}`);
  }
  return done;
}

function each(random: Random, records: Records, change: (raw: string) => string): Changes {
  return new Map(some(random, [...records.keys()], 4).map((key) => [key, change(records.get(key) ?? '')]));
}

function flipped(random: Random, bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  const count = changed.length === 0 ? 0 : 1 + Math.floor(random() * 3);
  for (let n = 0; n < count; n++) {
    const at = Math.floor(random() * changed.length);
    changed[at] = (changed[at] ?? 0) ^ (1 << Math.floor(random() * 8));
  }
  return changed;
}
