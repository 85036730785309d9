import type { Ctx } from '#base/ctx';
import type { Collection } from './collection.ts';
import { deepFreeze, encodeRecord } from './record.ts';

/** A collection without a disk. `failNextPut` lets a test make the next write fail. */
export class FakeCollection<T> implements Collection<T> {
  readonly #records = new Map<string, T>();
  failNextPut: Error | undefined;

  get(id: string): T | undefined {
    return this.#records.get(id);
  }

  values(): readonly T[] {
    return [...this.#records.values()];
  }

  get size(): number {
    return this.#records.size;
  }

  bootId(id: string): string | undefined {
    return this.#records.has(id) ? 'fake-boot' : undefined;
  }

  async put(_ctx: Ctx, id: string, value: T): Promise<void> {
    if (this.failNextPut) {
      const error = this.failNextPut;
      this.failNextPut = undefined;
      throw error;
    }
    encodeRecord(1, 'fake-boot', value); // refuses what the real store refuses
    this.#records.set(id, deepFreeze(value));
  }

  async delete(_ctx: Ctx, id: string): Promise<void> {
    this.#records.delete(id);
  }
}
