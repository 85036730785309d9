import type { Ctx } from '#base/ctx';
import { LevelDisk } from './level-disk.ts';
import { PatientDisk } from './patient-disk.ts';
import { RecordStore } from './records.ts';

export interface LevelStoreOptions {
  /** The database directory; made (0700) when missing. */
  readonly directory: string;
  /** /proc/sys/kernel/random/boot_id, written into every record. */
  readonly bootId: string;
}

/** The store of a running berthd: all records in memory, LevelDB below. One process owns it at a time. */
export class LevelStore extends RecordStore {
  /** @throws STATE_LOCKED, RESOURCE_EXHAUSTED, STATE_CORRUPT, KERNEL */
  static async create(ctx: Ctx, options: LevelStoreOptions): Promise<LevelStore> {
    const { disk, content } = await LevelDisk.open(options.directory, ctx.log);
    const patient = new PatientDisk({ disk, log: ctx.log });
    return new LevelStore({ disk: patient, content, bootId: options.bootId, log: ctx.log });
  }
}
