import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Berthd } from './berthd.ts';

let serial = 0;

/** crictl reads configs as JSON, with enums as numbers. */
export const namespaceMode = { POD: 0, CONTAINER: 1, NODE: 2, TARGET: 3 } as const;

/** A pod driven by the real crictl alone. */
export class CrictlPod {
  readonly id: string;
  readonly #berthd: Berthd;
  readonly #file: string;

  private constructor(berthd: Berthd, id: string, file: string) {
    this.#berthd = berthd;
    this.id = id;
    this.#file = file;
  }

  static async run(berthd: Berthd, config: object): Promise<CrictlPod> {
    const file = write(berthd, config);
    return new CrictlPod(berthd, await berthd.crictlOk('runp', file), file);
  }

  async start(config: object): Promise<string> {
    const id = await this.#berthd.crictlOk('create', this.id, write(this.#berthd, config), this.#file);
    await this.#berthd.crictlOk('start', id);
    return id;
  }

  async remove(containers: readonly string[]): Promise<void> {
    for (const id of containers) {
      await this.#berthd.crictlOk('stop', '--timeout', '0', id);
      await this.#berthd.crictlOk('rm', id);
    }
    await this.#berthd.crictlOk('stopp', this.id);
    await this.#berthd.crictlOk('rmp', this.id);
  }
}

function write(berthd: Berthd, config: object): string {
  serial += 1;
  const file = path.join(berthd.node.directory, `crictl-${serial}.json`);
  writeFileSync(file, JSON.stringify(config));
  return file;
}
