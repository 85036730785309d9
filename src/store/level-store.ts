import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { LevelDisk } from './level-disk.ts';
import { overlay, PatientDisk, reserveMark } from './patient-disk.ts';
import { RecordStore } from './records.ts';
import { ReserveFile } from './reserve-file.ts';
import { StoreDamage } from './store-damage.ts';

export interface LevelStoreOptions {
  /** The database directory; made (0700) when missing. The reserve lies beside it, as `reserve`. */
  readonly directory: string;
  /** /proc/sys/kernel/random/boot_id, written into every record. */
  readonly bootId: string;
  /** Size of the reserve, on the same disk: what has happened goes there when the disk is full. 0: none. */
  readonly reserveBytes?: number;
  /** Directories on other disks, for what has to be read when this one is full. */
  readonly scratch?: readonly string[];
}

/** The store of a running berthd: all records in memory, LevelDB below. One process owns it at a time. */
export class LevelStore extends RecordStore {
  /** @throws STATE_LOCKED, RESOURCE_EXHAUSTED, STATE_CORRUPT, KERNEL */
  static async create(ctx: Ctx, options: LevelStoreOptions): Promise<LevelStore> {
    const { directory, bootId, reserveBytes = 0, scratch } = options;
    const { log } = ctx;
    const damage = new StoreDamage(directory, log);
    const { disk, content } = await LevelDisk.open(directory, log, damage, scratch);
    const file = path.join(path.dirname(directory), 'reserve');
    const mark = Number(content.get(reserveMark) ?? 0);
    const { reserve, kept = [], last = mark } = (await ReserveFile.open(file, mark)) ?? {};
    const makeReserve = reserveBytes > 0 ? () => ReserveFile.create(file, reserveBytes) : undefined;
    const patient = new PatientDisk({ disk, reserve, makeReserve, kept, lastNumber: last, log });
    return new LevelStore({ disk: patient, content: overlay(content, kept), damage, bootId, log });
  }
}
