import { bytes } from './table.ts';

/** What berthd tells of a pull, as its admin socket has it. */
export interface PullLine {
  readonly reference: string;
  readonly startedAt: string;
  readonly stage: string;
  readonly waiters: number;
  readonly layers: readonly LayerLine[];
}

export interface LayerLine {
  readonly digest: string;
  readonly size: number;
  readonly downloaded: number;
  readonly unpacked: number;
  readonly state: string;
}

export interface PullViewOptions {
  readonly write: (text: string) => void;
  /** Bars that move, or lines that stay. */
  readonly terminal: boolean;
  /** Rows and columns of the terminal. */
  readonly size: () => { readonly rows: number; readonly columns: number };
}

const barWidth = 30;
const erase = '\x1b[K';

const stages: Readonly<Record<string, string>> = {
  queued: 'waits for other pulls',
  resolve: 'asks the registry',
  layers: 'downloads',
  sync: 'writes to disk',
  record: 'records',
};

/** One pull on a terminal, or in a log. */
export class PullView {
  readonly #options: PullViewOptions;
  #drawn = 0;
  #stage = '';
  readonly #told = new Set<number>();

  constructor(options: PullViewOptions) {
    this.#options = options;
  }

  show(pull: PullLine): void {
    if (this.#options.terminal) this.#draw(pull);
    else this.#tell(pull);
  }

  /** Takes the bars away. */
  end(): void {
    if (this.#drawn > 0) this.#options.write(`\x1b[${this.#drawn}A\x1b[J`);
    this.#drawn = 0;
  }

  #draw(pull: PullLine): void {
    const { rows, columns } = this.#options.size();
    const all = pull.layers.length + 2 <= rows;
    const layers = all ? pull.layers : pull.layers.filter(({ state }) => state === 'downloading').slice(0, rows - 2);
    const lines = [headLine(pull), ...layers.map(layerLine)].map((line) => line.slice(0, columns - 1));
    // Lines of the last time that this one has not are emptied.
    const blank = Math.max(0, this.#drawn - lines.length);
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : '';
    this.#options.write(
      `${up}${[...lines, ...Array<string>(blank).fill('')].map((line) => `\r${line}${erase}\n`).join('')}`,
    );
    this.#drawn = lines.length + blank;
  }

  #tell(pull: PullLine): void {
    for (const [index, layer] of pull.layers.entries()) {
      if ((layer.state !== 'done' && layer.state !== 'present') || this.#told.has(index)) continue;
      this.#told.add(index);
      const what = layer.state === 'present' ? 'is here' : bytes(layer.size);
      this.#options.write(`layer ${index + 1} of ${pull.layers.length} ${shortDigest(layer.digest)} ${what}\n`);
    }
    if (pull.stage === this.#stage) return;
    this.#stage = pull.stage;
    this.#options.write(`${pull.reference} ${stages[pull.stage] ?? pull.stage}\n`);
  }
}

/** Bytes that have come and that have to come; layers that were here before do not count. */
export function amounts({ layers }: PullLine): { readonly done: number; readonly total: number } {
  const wanted = layers.filter(({ state }) => state !== 'present');
  return {
    done: wanted.reduce((sum, { downloaded }) => sum + downloaded, 0),
    total: wanted.reduce((sum, { size }) => sum + size, 0),
  };
}

function headLine(pull: PullLine): string {
  const { done, total } = amounts(pull);
  const share = total > 0 ? ` ${bytes(done)} of ${bytes(total)}` : '';
  return `${pull.reference} ${stages[pull.stage] ?? pull.stage}${share}`;
}

function layerLine({ digest, size, downloaded, unpacked, state }: LayerLine): string {
  const name = shortDigest(digest);
  if (state === 'present') return `${name} is here`;
  if (state === 'waiting') return `${name} waits (${bytes(size)})`;
  return `${name} ${bar(downloaded, unpacked, size)} ${bytes(downloaded)} of ${bytes(size)}`;
}

/** "###==---": on disk, downloaded, to come. Never longer than its frame. */
export function bar(downloaded: number, unpacked: number, size: number): string {
  const cells = (count: number): number => (size > 0 ? Math.round(Math.min(1, count / size) * barWidth) : 0);
  const here = cells(Math.max(downloaded, unpacked));
  const done = Math.min(cells(unpacked), here);
  return `[${'#'.repeat(done)}${'='.repeat(here - done)}${'-'.repeat(barWidth - here)}]`;
}

function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 13);
}
