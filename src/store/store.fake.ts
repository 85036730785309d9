import { silentLogger } from '#base/log';
import type { Logger } from '#base/log';
import { RecordStore } from './records.ts';
import type { Disk, Write } from './records.ts';

/** A disk that lives as long as the test. Share one between two FakeStores to play a restart. */
export class FakeDisk implements Disk {
  readonly content = new Map<string, string>();
  /** The next write fails with this, and changes nothing. */
  failNextWrite: Error | undefined;

  async write(batch: readonly Write[]): Promise<void> {
    if (this.failNextWrite) {
      const error = this.failNextWrite;
      this.failNextWrite = undefined;
      throw error;
    }
    for (const write of batch) {
      if (write.type === 'put') this.content.set(write.key, write.value);
      else this.content.delete(write.key);
    }
  }

  async close(): Promise<void> {
    return;
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

  constructor(options: FakeStoreOptions = {}) {
    const { disk = new FakeDisk(), bootId = 'fake-boot', log = silentLogger } = options;
    super({ disk, content: disk.content, bootId, log });
    this.disk = disk;
  }
}
