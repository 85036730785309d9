import { table } from './table.ts';

/** How long each step of something took. */
export class StopWatch {
  readonly #steps: { readonly name: string; readonly ms: number }[] = [];

  async step<T>(name: string, run: () => Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await run();
    } finally {
      this.#steps.push({ name, ms: performance.now() - started });
    }
  }

  toString(): string {
    const total = this.#steps.reduce((sum, { ms }) => sum + ms, 0);
    const rows = [...this.#steps, { name: 'total', ms: total }].map(({ name, ms }) => [
      name,
      `${ms.toFixed(1).padStart(9)} ms`,
    ]);
    return table([['STEP', '     TIME'], ...rows]);
  }
}
