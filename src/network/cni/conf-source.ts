import { watch, type FSWatcher } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Ctx } from '#base/ctx';
import { messageOf } from '#base/errors';
import { unattended } from '#base/unattended';
import type { NetworkStatus } from '../pod-network.ts';
import { askStatus, hasVerbsOf11 } from './chain.ts';
import { readConfDir, type ConfDir, type ConfFile } from './conf-dir.ts';
import { addressersOf, programsOf, type ConfList } from './conf-list.ts';
import type { Plugins } from './plugins.ts';
import type { UnknownCniFields } from './unknown-fields.ts';

export interface ConfSourceOptions {
  /** For work nobody waits for. */
  readonly ctx: Ctx;
  readonly plugins: Plugins;
  readonly directory: string;
  readonly binDirs: readonly string[];
  readonly unknownFields: UnknownCniFields;
  readonly pollMs?: { readonly ready: number; readonly notReady: number };
}

type State =
  ({ readonly ready: true; readonly note: string } & ConfFile) | { readonly ready: false; readonly message: string };

/** What editors and installers write in several steps is read when they are done. */
const settleMs = 100;

/**
 * The network configuration in force: looked for again when the directory changes, and every now and then, because
 * programs appear too, plugins change their mind, and notifications are lost.
 */
export class ConfSource implements Disposable {
  readonly #options: ConfSourceOptions;
  #state: State = { ready: false, message: 'the network configuration was not read yet' };
  #reading: Promise<void> | undefined;
  #again = false;
  #timer: NodeJS.Timeout | undefined;
  #watcher: { readonly watch: FSWatcher; readonly inode: bigint } | undefined;
  #closed = false;

  constructor(options: ConfSourceOptions) {
    this.#options = options;
  }

  /** Begins to look after itself: reads everything, and again from time to time. */
  start(): void {
    unattended(this.#options.ctx.log, 'reading the network configuration', this.refresh());
  }

  /** The list pods are connected by now, if any. */
  get list(): ConfList | undefined {
    return this.#state.ready ? this.#state.list : undefined;
  }

  status(): NetworkStatus {
    const state = this.#state;
    if (state.ready) return { ready: true, reason: '', message: state.note };
    return { ready: false, reason: 'NetworkPluginNotReady', message: state.message };
  }

  /** Reads everything anew; what was changed before the call is seen when it resolves. Never rejects. */
  async refresh(): Promise<void> {
    if (this.#reading !== undefined) {
      this.#again = true;
      return this.#reading;
    }
    this.#reading = this.#readUntilQuiet();
    try {
      await this.#reading;
    } finally {
      this.#reading = undefined;
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#watcher?.watch.close();
    this.#watcher = undefined;
  }

  async #readUntilQuiet(): Promise<void> {
    do {
      this.#again = false;
      await this.#watch();
      this.#enter(await this.#read());
    } while (this.#again && !this.#closed);
    const { ready, notReady } = this.#options.pollMs ?? { ready: 30_000, notReady: 3000 };
    this.#plan(this.#state.ready ? ready : notReady);
  }

  async #read(): Promise<State> {
    const { directory, plugins, ctx } = this.#options;
    const found = await readConfDir(directory);
    const { chosen } = found;
    if (chosen === undefined) return { ready: false, message: nothingIn(directory, found) };
    const { file, list } = chosen;
    const name = `network ${list.name} (${file})`;
    const missing = await this.#missing(programsOf(list));
    if (missing.length > 0) {
      const where = this.#options.binDirs.join(' or ');
      return { ready: false, message: sentence([`${name} needs ${missing.join(', ')} in ${where}`, ...noteOf(found)]) };
    }
    try {
      if (hasVerbsOf11(list)) await askStatus(ctx, plugins, list);
    } catch (error) {
      return { ready: false, message: sentence([`${name}: ${messageOf(error)}`, ...noteOf(found)]) };
    }
    return { ready: true, ...chosen, note: sentence([name, ...(await this.#inside(list)), ...noteOf(found)]) };
  }

  /** Ways to addresses that are no programs: the plugin may know them, or is about to fail. */
  async #inside(list: ConfList): Promise<readonly string[]> {
    const types = await this.#missing(addressersOf(list));
    return types.map((type) => `its ipam ${type} is no program in ${this.#options.binDirs.join(' or ')}`);
  }

  async #missing(types: readonly string[]): Promise<readonly string[]> {
    const { plugins } = this.#options;
    const looks = types.map((type) =>
      plugins.find(type).then(
        () => [],
        () => [type],
      ),
    );
    return (await Promise.all(looks)).flat();
  }

  #enter(state: State): void {
    const { log } = this.#options.ctx;
    const before = this.#state;
    this.#state = state;
    if (this.#closed || (describe(before) === describe(state) && before.ready === state.ready)) return;
    if (state.ready) {
      this.#options.unknownFields.add({ document: 'configuration' }, state.unknownFields);
      log.info({ file: state.file, network: state.list.name, note: state.note }, 'pods are connected by CNI');
    } else log.warn({ why: state.message }, 'pods cannot be connected by CNI; it is looked for again');
  }

  /** The directory may come later, or be replaced by another of its name. */
  async #watch(): Promise<void> {
    const { directory } = this.#options;
    try {
      const { ino } = await stat(directory, { bigint: true });
      if (this.#closed || this.#watcher?.inode === ino) return;
      this.#watcher?.watch.close();
      const watcher = watch(directory, { persistent: false }, () => this.#changed());
      watcher.on('error', () => this.#unwatch());
      this.#watcher = { watch: watcher, inode: ino };
    } catch {
      // Not there, or no inotify left: it is looked for from time to time.
      this.#unwatch();
    }
  }

  #changed(): void {
    // What was read a moment ago may be what was there before.
    if (this.#reading !== undefined) this.#again = true;
    else this.#plan(settleMs);
  }

  #unwatch(): void {
    this.#watcher?.watch.close();
    this.#watcher = undefined;
  }

  #plan(ms: number): void {
    clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(() => this.start(), ms).unref();
  }
}

function nothingIn(directory: string, { problems }: ConfDir): string {
  return sentence([`no network configuration (*.conflist, *.conf, *.json) can be used in ${directory}`, ...problems]);
}

function noteOf({ problems, unused }: ConfDir): readonly string[] {
  return [
    ...problems.map((problem) => `not used: ${problem}`),
    ...unused.map((file) => `not used: ${file} comes later`),
  ];
}

function sentence(parts: readonly string[]): string {
  return parts.join('; ').slice(0, 2000);
}

function describe(state: State): string {
  return state.ready
    ? `${state.file} ${JSON.stringify(state.list)} ${state.unknownFields} ${state.note}`
    : state.message;
}
