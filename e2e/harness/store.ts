import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Level } from 'level';

/** berthd's store from outside, while no berthd has it open: for tests of what becomes of a damaged one. */
export class StoreFiles {
  readonly directory: string;

  constructor(root: string) {
    this.directory = path.join(root, 'db');
  }

  /** All records, as they lie on disk. */
  async read(): Promise<Map<string, string>> {
    return await this.#with(async (level) => {
      const found = new Map<string, string>();
      for await (const [key, value] of level.iterator()) found.set(key, value);
      return found;
    });
  }

  /** Undefined deletes. */
  async write(changes: ReadonlyMap<string, string | undefined>): Promise<void> {
    await this.#with((level) =>
      level.batch(
        [...changes].map(([key, value]) =>
          value === undefined ? { type: 'del' as const, key } : { type: 'put' as const, key, value },
        ),
      ),
    );
  }

  /** As a berthd that is newer would have written it. */
  async raiseVersion(key: string): Promise<string> {
    const raw = (await this.read()).get(key);
    if (raw === undefined) throw new Error(`no record ${key}`);
    const raised = raw.replace(/^\{"v":\d+/, '{"v":99');
    await this.write(new Map([[key, raised]]));
    return raised;
  }

  /** Names of LevelDB's files. */
  files(): string[] {
    if (!existsSync(this.directory)) return [];
    // LevelDB's repairer leaves a directory `lost`.
    const entries = readdirSync(this.directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  }

  remove(file: string): void {
    rmSync(path.join(this.directory, file), { force: true });
  }

  removeAll(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  overwrite(file: string, change: (bytes: Buffer) => Buffer): void {
    const whole = path.join(this.directory, file);
    writeFileSync(whole, change(readFileSync(whole)));
  }

  async #with<T>(work: (level: Level) => Promise<T>): Promise<T> {
    const level = new Level(this.directory);
    await level.open();
    try {
      return await work(level);
    } finally {
      await level.close();
    }
  }
}
