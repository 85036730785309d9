import { BerthError } from '#base/errors';
import type { Ctx } from '#base/ctx';
import type { Logger } from '#base/log';
import { isKind } from './collection.ts';
import type {
  AnyCollection,
  Behind,
  Change,
  Collection,
  CollectionSpec,
  QuarantinedRecord,
  Store,
  WriteKind,
} from './collection.ts';
import { reserveMark, type PatientDisk } from './patient-disk.ts';
import { decodeRecord, deepFreeze, encodeRecord } from './record.ts';

/** One line of a batch. */
export type Write =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string };

/** Where records lie: LevelDB, or a Map in tests. Batches arrive in the order of the calls. */
export interface Disk {
  /** All or nothing. */
  write(batch: readonly Write[], sync: boolean): Promise<void>;
  close(): Promise<void>;
}

export interface RecordStoreOptions {
  readonly disk: PatientDisk;
  /** Everything the disk held when it was opened. */
  readonly content: ReadonlyMap<string, string>;
  /** What became of the database where it was damaged; none for one that cannot be. */
  readonly damage?: Damage | undefined;
  readonly bootId: string;
  readonly log: Logger;
}

/** What is left where a database was damaged, and what is known of the loss. */
export interface Damage {
  noteLost(what: string): Promise<void>;
  list(): Promise<readonly string[]>;
  remove(): Promise<void>;
}

const quarantinePrefix = 'quarantine/';
const mostLogged = 20;

/** The store's rules over any disk: versions, migrations, quarantine, disk before memory. */
export class RecordStore implements Store {
  readonly #disk: PatientDisk;
  readonly #bootId: string;
  readonly #log: Logger;
  readonly #damage: Damage | undefined;
  /** Records that no collection has claimed yet. */
  readonly #unclaimed: Map<string, string>;
  readonly #kinds = new Set<string>();
  readonly #quarantined = new Map<string, string>();
  /** Keys of records that a newer berthd wrote, with why they are left alone. */
  readonly #newer = new Map<string, string>();
  /** Those of them that read well and cannot be true. */
  readonly #newerRefused = new Map<string, RecordCollection<unknown>>();
  #allOpen = false;
  #closed: Promise<void> | undefined;

  constructor(options: RecordStoreOptions) {
    this.#disk = options.disk;
    this.#bootId = options.bootId;
    this.#log = options.log;
    this.#damage = options.damage;
    this.#unclaimed = new Map(options.content);
    this.#unclaimed.delete(reserveMark);
    for (const [key, raw] of options.content) {
      if (!key.startsWith(quarantinePrefix)) continue;
      this.#unclaimed.delete(key);
      this.#quarantined.set(key.slice(quarantinePrefix.length), reasonOf(raw));
    }
  }

  get quarantined(): readonly QuarantinedRecord[] {
    return [...this.#quarantined].map(([key, reason]) => ({ key, reason }));
  }

  get newer(): readonly QuarantinedRecord[] {
    return [...this.#newer].map(([key, reason]) => ({ key, reason }));
  }

  get unknown(): readonly string[] {
    return this.#allOpen ? [...this.#unclaimed.keys()] : [];
  }

  everythingIsOpen(_ctx: Ctx): void {
    this.#allOpen = true;
    const { unknown } = this;
    if (unknown.length === 0) return;
    const fields = { keys: unknown.slice(0, mostLogged), records: unknown.length };
    this.#log.error(fields, 'records of a kind that this berthd does not know: damaged keys, or of a newer berthd');
  }

  async damages(): Promise<readonly string[]> {
    return (await this.#damage?.list()) ?? [];
  }

  async noteLost(_ctx: Ctx, what: string): Promise<void> {
    await this.#damage?.noteLost(what);
  }

  async forget(_ctx: Ctx): Promise<void> {
    this.#assertOpen();
    const keys = [...this.#quarantined.keys()];
    const unknown = this.unknown;
    // What was made again in the place of one is in use, and has it as its record.
    const refused = [...this.#newerRefused].filter(([key, own]) => !own.hasKey(key)).map(([key]) => key);
    const all = [...keys.map((key) => quarantinePrefix + key), ...unknown, ...refused];
    if (all.length > 0) {
      await this.#disk.write(
        all.map((key) => ({ type: 'del', key })),
        false,
        'fact',
      );
    }
    for (const key of keys) this.#quarantined.delete(key);
    for (const key of unknown) this.#unclaimed.delete(key);
    for (const key of refused) this.#dropNewer(key);
    await this.#damage?.remove();
  }

  async open<T>(_ctx: Ctx, spec: CollectionSpec<T>): Promise<Collection<T>> {
    this.#assertOpen();
    if (!isKind(spec.kind)) throw new BerthError('INTERNAL', `not a kind of record: ${spec.kind}`);
    if (this.#kinds.has(spec.kind)) throw new BerthError('INTERNAL', `collection ${spec.kind} is already open`);
    if (this.#allOpen) throw new BerthError('INTERNAL', `collection ${spec.kind} is opened too late`);
    this.#kinds.add(spec.kind);
    const collection = new RecordCollection<T>(this, spec);
    const repairs: Write[] = [];
    const prefix = `${spec.kind}/`;
    for (const [key, raw] of this.#unclaimed) {
      if (!key.startsWith(prefix)) continue;
      this.#unclaimed.delete(key);
      const id = key.slice(prefix.length);
      const decoded = decodeRecord(spec, raw, id);
      if (decoded.ok ? decoded.age === 'newer' : decoded.newer) this.#keep(key, decoded.ok ? '' : decoded.reason);
      if (!decoded.ok) {
        if (!decoded.newer) repairs.push(...this.#setAside(key, raw, decoded.reason));
        continue;
      }
      collection.remember(id, { value: decoded.value, bootId: decoded.bootId });
      if (decoded.age === 'older') {
        repairs.push({ type: 'put', key, value: encodeRecord(spec.version, decoded.bootId, decoded.value) });
      }
    }
    // What is found is found again after a crash.
    if (repairs.length > 0) await this.#disk.write(repairs, spec.sync, 'fact');
    return collection;
  }

  async quarantine(_ctx: Ctx, collection: AnyCollection, id: string, reason: string): Promise<void> {
    this.#assertOpen();
    const own = this.#own(collection);
    const record = own.recall(id);
    if (!record) return;
    const key = own.keyOf(id);
    if (this.#newer.has(key)) {
      // It stays where it is for the newer one, and is only not used here.
      this.#newerRefused.set(key, own);
      this.#keep(key, reason);
    } else {
      const raw = encodeRecord(own.spec.version, record.bootId, record.value);
      await this.#disk.write(this.#setAside(key, raw, reason), own.spec.sync, 'fact');
    }
    own.forget(id);
  }

  get behind(): Behind | undefined {
    return this.#disk.behind;
  }

  whenKept(): Promise<void> {
    return this.#disk.whenKept();
  }

  async checkWritable(_ctx: Ctx): Promise<void> {
    await this.#disk.flush();
  }

  async transaction(_ctx: Ctx, changes: readonly Change[], kind: WriteKind = 'intent'): Promise<void> {
    this.#assertOpen();
    const batch: Write[] = [];
    const toMemory: (() => void)[] = [];
    let sync = false;
    for (const change of changes) {
      const own = this.#own(change.collection);
      const { id } = change;
      sync ||= own.spec.sync;
      const key = own.keyOf(id);
      if (change.op === 'delete') {
        batch.push({ type: 'del', key });
        toMemory.push(() => {
          own.forget(id);
          this.#dropNewer(key);
        });
        continue;
      }
      const raw = encodeRecord(own.spec.version, this.#bootId, change.value);
      if (!this.#newer.has(key)) batch.push({ type: 'put', key, value: raw });
      const value = deepFreeze(change.value);
      toMemory.push(() => own.remember(id, { value, bootId: this.#bootId }));
    }
    if (batch.length > 0) await this.#disk.write(batch, sync, kind);
    for (const apply of toMemory) apply();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#disk.close();
    await this.#closed;
  }

  #assertOpen(): void {
    if (this.#closed) throw new BerthError('UNAVAILABLE', 'the store is closed');
  }

  #own(collection: AnyCollection): RecordCollection<unknown> {
    const own: unknown = collection;
    if (own instanceof RecordCollection && own.store === this) return own as RecordCollection<unknown>;
    throw new BerthError('INTERNAL', 'the collection belongs to another store');
  }

  /** @param why it is not used, if so */
  #keep(key: string, why: string): void {
    const reason = `written by a newer berthd, and left as it is${why === '' ? '' : `: ${why}`}`;
    this.#newer.set(key, reason);
    this.#log.warn({ key, reason }, 'record of a newer version');
  }

  #dropNewer(key: string): void {
    this.#newer.delete(key);
    this.#newerRefused.delete(key);
  }

  #setAside(key: string, raw: string, reason: string): Write[] {
    this.#quarantined.set(key, reason);
    this.#log.error({ key, reason, quarantined: this.#quarantined.size }, 'record moved to quarantine');
    const value = JSON.stringify({ reason, bootId: this.#bootId, raw });
    return [
      { type: 'del', key },
      { type: 'put', key: quarantinePrefix + key, value },
    ];
  }
}

interface Entry<T> {
  readonly value: T;
  readonly bootId: string;
}

class RecordCollection<T> implements Collection<T> {
  readonly store: RecordStore;
  readonly spec: CollectionSpec<T>;
  readonly #records = new Map<string, Entry<T>>();

  constructor(store: RecordStore, spec: CollectionSpec<T>) {
    this.store = store;
    this.spec = spec;
  }

  get size(): number {
    return this.#records.size;
  }

  get(id: string): T | undefined {
    return this.#records.get(id)?.value;
  }

  values(): readonly T[] {
    return [...this.#records.values()].map((entry) => entry.value);
  }

  bootId(id: string): string | undefined {
    return this.#records.get(id)?.bootId;
  }

  async put(ctx: Ctx, id: string, value: T, kind?: WriteKind): Promise<void> {
    await this.store.transaction(ctx, [{ op: 'put', collection: this as Collection<unknown>, id, value }], kind);
  }

  async delete(ctx: Ctx, id: string): Promise<void> {
    await this.store.transaction(ctx, [{ op: 'delete', collection: this as Collection<unknown>, id }], 'fact');
  }

  keyOf(id: string): string {
    if (id === '') throw new BerthError('INTERNAL', `a ${this.spec.kind} record needs an id`);
    return `${this.spec.kind}/${id}`;
  }

  hasKey(key: string): boolean {
    return this.#records.has(key.slice(this.keyOf(' ').length - 1));
  }

  recall(id: string): Entry<T> | undefined {
    return this.#records.get(id);
  }

  remember(id: string, entry: Entry<T>): void {
    this.#records.set(id, entry);
  }

  forget(id: string): void {
    this.#records.delete(id);
  }
}

function reasonOf(raw: string): string {
  try {
    const record: unknown = JSON.parse(raw);
    if (typeof record === 'object' && record !== null && 'reason' in record && typeof record.reason === 'string') {
      return record.reason;
    }
  } catch {
    // A quarantined record that is itself broken stays where it is.
  }
  return 'unknown';
}
