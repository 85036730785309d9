import { BerthError } from '#base/errors';
import { silentLogger } from '#base/log';
import type { Logger } from '#base/log';
import { overlay, PatientDisk, reserveMark, type Reserve } from './patient-disk.ts';
import { RecordStore } from './records.ts';
import type { Disk, Write } from './records.ts';

/** A disk that lives as long as the test. Share one between two FakeStores to play a restart. */
export class FakeDisk implements Disk {
  readonly content = new Map<string, string>();
  /** What was taken before the disk was full; undefined: no reserve, as on a disk that was full from the beginning. */
  reserve: FakeReserve | undefined;
  /** The next write fails with this, and changes nothing. */
  failNextWrite: Error | undefined;
  /** So many writes have room yet; the ones after them fail until it is raised again. */
  room = Infinity;
  /** Writes that were tried. */
  writes = 0;

  async write(batch: readonly Write[]): Promise<void> {
    this.writes++;
    if (this.failNextWrite) {
      const error = this.failNextWrite;
      this.failNextWrite = undefined;
      throw error;
    }
    if (this.room <= 0) throw new BerthError('RESOURCE_EXHAUSTED', 'write to the store: No space left on device');
    this.room--;
    for (const write of batch) {
      if (write.type === 'put') this.content.set(write.key, write.value);
      else this.content.delete(write.key);
    }
  }

  async close(): Promise<void> {
    return;
  }
}

/** Room for `size` writes. */
export class FakeReserve {
  readonly #size: number;
  #appends: { readonly number: number; readonly batch: readonly Write[] }[] = [];
  /** It does not come to forgetting what is written: berthd dies before. */
  forgets = true;

  constructor(size = Infinity) {
    this.#size = size;
  }

  get last(): number {
    return this.#appends.at(-1)?.number ?? 0;
  }

  append(number: number, batch: readonly Write[]): void {
    const used = this.#appends.flatMap((append) => append.batch).length;
    if (used + batch.length > this.#size) throw new Error('the reserve is full');
    this.#appends.push({ number, batch });
  }

  written(upTo: number): void {
    if (this.forgets) this.#appends = this.#appends.filter(({ number }) => number > upTo);
  }

  /** What the next start finds in it. */
  keptAfter(mark: number): readonly Write[] {
    return this.#appends.filter(({ number }) => number > mark).flatMap(({ batch }) => batch);
  }
}

export interface FakeStoreOptions {
  readonly disk?: FakeDisk;
  readonly bootId?: string;
  readonly log?: Logger;
}

/** The whole store without LevelDB: the same rules over a Map. */
export class FakeStore extends RecordStore {
  readonly disk: FakeDisk;
  readonly #process: FakeProcess;

  constructor(options: FakeStoreOptions = {}) {
    const { disk = new FakeDisk(), bootId = 'fake-boot', log = silentLogger } = options;
    const { content } = disk;
    const mark = Number(content.get(reserveMark) ?? 0);
    const kept = disk.reserve?.keptAfter(mark) ?? [];
    const lastNumber = Math.max(mark, disk.reserve?.last ?? 0);
    const process = new FakeProcess(disk);
    const reserve = disk.reserve && process;
    const patient = new PatientDisk({ disk: process, reserve, kept, lastNumber, log, retryMs: 1 });
    super({ disk: patient, content: overlay(content, kept), bootId, log });
    this.disk = disk;
    this.#process = process;
  }

  /** As kill -9 would: nothing more of this store reaches the disk. */
  kill(): void {
    this.#process.killed = true;
  }
}

/** What a berthd writes, as long as it lives. */
class FakeProcess implements Disk, Reserve {
  killed = false;
  readonly #disk: FakeDisk;

  constructor(disk: FakeDisk) {
    this.#disk = disk;
  }

  async write(batch: readonly Write[]): Promise<void> {
    if (this.killed) throw new Error('this berthd was killed');
    await this.#disk.write(batch);
  }

  async append(number: number, batch: readonly Write[]): Promise<void> {
    if (this.killed) throw new Error('this berthd was killed');
    this.#disk.reserve?.append(number, batch);
  }

  async written(upTo: number): Promise<void> {
    if (!this.killed) this.#disk.reserve?.written(upTo);
  }

  async close(): Promise<void> {
    return;
  }
}
