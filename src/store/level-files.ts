import { constants } from 'node:fs';
import { copyFile, link, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf, messageOf } from '#base/errors';
import type { Logger } from '#base/log';
import { findLogDamage } from './level-log.ts';
import { namesIn, type StoreDamage } from './store-damage.ts';

// What LevelDB does not say of the files in its directory: it makes a new database where CURRENT is missing, and deletes
// what lies there; it drops damaged records of its log and deletes that log.

const firstManifest = 'MANIFEST-000001';

/**
 * Whether there has been a database that held something. The manifest with which LevelDB begins is none: its maker may have
 * been killed before CURRENT was there.
 */
export async function hasFormerDatabase(directory: string): Promise<boolean> {
  return (await namesIn(directory)).some(
    (name) => /^(\d+\.(log|ldb|sst)|MANIFEST-\d+)$/.test(name) && name !== firstManifest,
  );
}

/** Whether LevelDB will make a new one here, rightly or not. */
export async function hasNoDatabase(directory: string): Promise<boolean> {
  return !(await namesIn(directory)).includes('CURRENT') && !(await hasFormerDatabase(directory));
}

/**
 * Before LevelDB opens the database: keeps a second name of every damaged log as `<directory>.broken-<time>/<log>`, and tells.
 *
 * @throws what link(2) and copying say, of a full disk for instance: the log must not be opened then
 */
export async function keepDamagedLogs(directory: string, log: Logger, damage: StoreDamage): Promise<void> {
  const names = await readdir(directory);
  const logs = names.filter((name) => /^\d+\.log$/.test(name));
  if (logs.length === 0 && (await lacksLog(directory))) {
    const place = `${directory}.broken-${new Date().toISOString().replaceAll(':', '')}`;
    log.error({ directory }, 'the log of the store is missing: the newest records are lost');
    await damage.logDamaged(place, 'its log is missing');
  }
  for (const name of logs) {
    const why = await whyDamaged(path.join(directory, name));
    if (why === undefined) continue;
    const place = await keep(directory, name);
    log.error(
      { directory, log: name, why, kept: place },
      'a log of the store is damaged: some of the newest records are lost',
    );
    await damage.logDamaged(place, `${name}: ${why}`);
  }
}

/** From its first opening on a database has a log; what the repairer makes begins anew with the first manifest. */
async function lacksLog(directory: string): Promise<boolean> {
  const current = await readFile(path.join(directory, 'CURRENT'), 'utf8').catch(() => '');
  return /^MANIFEST-\d+\n$/.test(current) && current.trim() !== firstManifest;
}

async function whyDamaged(file: string): Promise<string | undefined> {
  try {
    const offset = findLogDamage(await readFile(file));
    return offset === undefined ? undefined : `damaged at byte ${offset}`;
  } catch (error) {
    // LevelDB takes what it cannot read for the end of the log.
    return `cannot be read: ${messageOf(error)}`;
  }
}

/** The log's own time names the place: what was kept before berthd was killed is not kept twice. */
async function keep(directory: string, name: string): Promise<string> {
  const file = path.join(directory, name);
  const { mtime } = await stat(file);
  const place = `${directory}.broken-${mtime.toISOString().replaceAll(':', '')}`;
  const made = await mkdir(place, { recursive: true, mode: 0o700 });
  const copy = path.join(place, name);
  try {
    // Needs no room. LevelDB only reads it from now on.
    await link(file, copy);
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return place;
    try {
      await copyFile(file, copy, constants.COPYFILE_EXCL);
    } catch (failure) {
      if (made !== undefined) await rm(place, { recursive: true, force: true });
      throw failure;
    }
  }
  return place;
}
