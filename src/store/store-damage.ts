import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf, messageOf } from '#base/errors';
import type { Logger } from '#base/log';

/** Lies beside what LevelDB's repair has cut out, or in the database that was laid aside. */
const noteName = 'berth.json';
const mostLines = 40;

/** Repaired by LevelDB; laid aside; a log with damaged records, which LevelDB drops; gone, while other state was there. */
const kinds = ['repaired', 'aside', 'log', 'missing'] as const;
type Kind = (typeof kinds)[number];

interface Note {
  readonly kind: Kind;
  /** ISO 8601. */
  readonly at: string;
  readonly why: string;
  /** How many records were left, by kind. */
  readonly left: Readonly<Record<string, number>>;
  /** What was found missing afterwards. */
  readonly lost: readonly string[];
}

/**
 * What is left of a database that had to be repaired (`<directory>/lost`, made by LevelDB) or laid aside
 * (`<directory>.broken-<time>`). The broken copy itself is the mark: as long as it is there, its owner is told. What berthd
 * found out about the loss lies in it as a note; where that could not be written, less is told.
 */
export class StoreDamage {
  readonly #directory: string;
  readonly #log: Logger;
  /** Of this start. */
  #here: { readonly place: string; note: Note } | undefined;

  constructor(directory: string, log: Logger) {
    this.#directory = directory;
    this.#log = log;
  }

  /** LevelDB has repaired it, and put what it could not use into `lost`. */
  async repaired(why: string, content: ReadonlyMap<string, string>): Promise<void> {
    await this.#begin('repaired', path.join(this.#directory, 'lost'), why, content);
  }

  async laidAside(place: string, why: string): Promise<void> {
    await this.#begin('aside', place, why, new Map());
  }

  /** @param place where the log is kept */
  async logDamaged(place: string, why: string): Promise<void> {
    await this.#begin('log', place, why, new Map());
  }

  /** There is no database at all, and what only a berthd makes lies here. */
  async missing(signs: readonly string[]): Promise<void> {
    const why = `${signs.join(', ')} lie here`;
    this.#log.error(
      { directory: this.#directory, signs },
      'the store is missing, and a berthd has been here; starting empty',
    );
    await this.#begin(
      'missing',
      `${this.#directory}.broken-${new Date().toISOString().replaceAll(':', '')}`,
      why,
      new Map(),
    );
  }

  /** No effect when the database was whole at this start. */
  async noteLost(what: string): Promise<void> {
    if (!this.#here) return;
    this.#log.error({ lost: what }, 'this is lost with the damaged part of the store');
    const { note } = this.#here;
    this.#here.note = { ...note, lost: [...note.lost, what].slice(0, mostLines) };
    await this.#write();
  }

  /** One line for each broken copy. */
  async list(): Promise<readonly string[]> {
    const lines: string[] = [];
    for (const place of await this.#places()) lines.push(describe(place, await readNote(place)));
    return lines;
  }

  /** The owner has seen it. */
  async remove(): Promise<void> {
    for (const place of await this.#places()) await rm(place, { recursive: true, force: true });
    this.#here = undefined;
  }

  async #begin(kind: Kind, place: string, why: string, content: ReadonlyMap<string, string>): Promise<void> {
    const left: Record<string, number> = {};
    for (const key of content.keys()) {
      const of = key.split('/', 1)[0] ?? '';
      left[of] = (left[of] ?? 0) + 1;
    }
    // A second repair does not make the first one good.
    const lost = (await readNote(place))?.lost ?? [];
    this.#here = { place, note: { kind, at: new Date().toISOString(), why, left, lost } };
    await this.#write();
  }

  async #write(): Promise<void> {
    if (!this.#here) return;
    const { place, note } = this.#here;
    try {
      await mkdir(place, { recursive: true, mode: 0o700 });
      await writeFile(path.join(place, noteName), `${JSON.stringify(note, null, 2)}\n`, { mode: 0o600 });
    } catch (error) {
      this.#log.warn({ place, err: messageOf(error) }, 'could not write down what the damaged store has lost');
    }
  }

  async #places(): Promise<readonly string[]> {
    const parent = path.dirname(this.#directory);
    const prefix = `${path.basename(this.#directory)}.broken-`;
    const aside = (await namesIn(parent)).filter((name) => name.startsWith(prefix)).sort();
    const inside = (await namesIn(this.#directory)).filter((name) => name === 'lost');
    return [...inside.map((name) => path.join(this.#directory, name)), ...aside.map((name) => path.join(parent, name))];
  }
}

/** None where there is no directory. */
export async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function readNote(place: string): Promise<Note | undefined> {
  const guess = path.basename(place) === 'lost' ? 'repaired' : 'aside';
  try {
    const note = JSON.parse(await readFile(path.join(place, noteName), 'utf8')) as Partial<Note>;
    const { at, why, left, lost } = note;
    if (typeof at !== 'string' || typeof why !== 'string' || typeof left !== 'object' || !Array.isArray(lost))
      throw new Error();
    const kind = kinds.find((one) => one === note.kind) ?? guess;
    return { kind, at, why, left, lost: lost.map(String) };
  } catch {
    const found = await stat(place).catch(() => undefined);
    return found && { kind: guess, at: found.mtime.toISOString(), why: '', left: {}, lost: [] };
  }
}

function describe(place: string, note: Note | undefined): string {
  const { kind = 'aside', at = 'an unknown day', why = '', left = {}, lost = [] } = note ?? {};
  const because = why && ` (${why})`;
  const what = {
    repaired: `the store was damaged and repaired at ${at}${because}; records left: ${counted(left) || (why ? 'none' : 'unknown')}`,
    aside: `the store was damaged beyond repair at ${at}${because}, and berthd went on with an empty one`,
    log: `the newest part of the store was damaged, as found at ${at}${because}, and the records in it were dropped`,
    missing: `the store was missing at ${at}, though a berthd has been here${because}, and berthd went on with an empty one`,
  }[kind];
  const missing = lost.length > 0 ? `; known to be lost: ${lost.join('; ')}` : '';
  const copy = kind === 'missing' ? `${place} only says so` : `the broken copy is ${place}`;
  return (
    `${what}${missing}; images and stopped pods may be gone: compare berth images and berth ps -a with what should be ` +
    `there, pull or load what is missing; ${copy}: berth check --forget deletes it`
  );
}

/** "1 image, 4 addresses". */
function counted(left: Readonly<Record<string, number>>): string {
  const plural = (of: string): string => (of.endsWith('s') ? `${of}es` : `${of}s`);
  return Object.entries(left)
    .map(([of, count]) => `${count} ${count === 1 ? of : plural(of)}`)
    .join(', ');
}
