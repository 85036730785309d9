import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { LevelDisk } from './level-disk.ts';
import { hasNoDatabase } from './level-files.ts';
import { overlay, PatientDisk, reserveMark } from './patient-disk.ts';
import { RecordStore } from './records.ts';
import { ReserveFile } from './reserve-file.ts';
import { namesIn, StoreDamage } from './store-damage.ts';

export interface LevelStoreOptions {
  /** The database directory; made (0700) when missing. The reserve lies beside it, as `reserve`. */
  readonly directory: string;
  /** /proc/sys/kernel/random/boot_id, written into every record. */
  readonly bootId: string;
  /** Size of the reserve, on the same disk: what has happened goes there when the disk is full. 0: none. */
  readonly reserveBytes?: number;
  /** Directories on other disks, for what has to be read when this one is full. */
  readonly scratch?: readonly string[];
  /** Directories that only a berthd fills: where they are not empty, there has been a store. */
  readonly signs?: readonly string[];
}

/** The store of a running berthd: all records in memory, LevelDB below. One process owns it at a time. */
export class LevelStore extends RecordStore {
  /** @throws STATE_LOCKED, RESOURCE_EXHAUSTED, STATE_CORRUPT, KERNEL */
  static async create(ctx: Ctx, options: LevelStoreOptions): Promise<LevelStore> {
    const { directory, bootId, reserveBytes = 0, scratch, signs = [] } = options;
    const { log } = ctx;
    const damage = new StoreDamage(directory, log);
    const found = (await hasNoDatabase(directory)) ? await filled(signs) : [];
    if (found.length > 0) await damage.missing(found);
    const { disk, content } = await LevelDisk.open(directory, log, damage, scratch);
    const file = path.join(path.dirname(directory), 'reserve');
    const mark = Number(content.get(reserveMark) ?? 0);
    const { reserve, kept = [], last = mark } = (await ReserveFile.open(file, mark)) ?? {};
    const makeReserve = reserveBytes > 0 ? () => ReserveFile.create(file, reserveBytes) : undefined;
    const patient = new PatientDisk({ disk, reserve, makeReserve, kept, lastNumber: last, log });
    return new LevelStore({ disk: patient, content: overlay(content, kept), damage, bootId, log });
  }
}

/** "3 entries in /var/lib/berth/containers", of those that are not empty. */
async function filled(directories: readonly string[]): Promise<readonly string[]> {
  const counts = await Promise.all(directories.map(async (one) => [one, (await namesIn(one)).length] as const));
  return counts
    .filter(([, count]) => count > 0)
    .map(([one, count]) => `${count} ${count === 1 ? 'entry' : 'entries'} in ${one}`);
}
