import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Berthd } from './berthd.ts';
import { fixture } from './fixtures.ts';
import { eventually } from './wait.ts';

/** A FUSE file system in the node that answers, or answers nobody: what a dead NFS mount does. */
export class HangingMount {
  readonly mountpoint: string;
  readonly #berthd: Berthd;
  readonly #control: string;
  #program: ChildProcess | undefined;

  private constructor(berthd: Berthd) {
    this.#berthd = berthd;
    this.mountpoint = path.join(berthd.node.directory, 'fuse');
    this.#control = path.join(berthd.node.directory, 'hang');
  }

  static async mount(berthd: Berthd): Promise<HangingMount> {
    const made = new HangingMount(berthd);
    mkdirSync(made.mountpoint);
    const program = await fixture('hangfs', ['-D_FILE_OFFSET_BITS=64', '-lfuse3']);
    const [file = '', ...args] = berthd.node.enter([program, made.#control, made.mountpoint]);
    made.#program = spawn(file, args, { stdio: 'inherit' });
    if (made.#program.pid !== undefined) berthd.node.remember(made.#program.pid);
    await eventually('the file system is mounted', async () => {
      const { stdout } = await berthd.node.run(['cat', path.join(made.mountpoint, 'data/file')]);
      return stdout === 'ok\n';
    });
    return made;
  }

  get hangs(): boolean {
    return existsSync(this.#control);
  }

  hang(): void {
    writeFileSync(this.#control, '');
  }

  answer(): void {
    rmSync(this.#control, { force: true });
  }

  async unmount(): Promise<void> {
    this.answer();
    await this.#berthd.node.run(['umount', this.mountpoint]);
    const program = this.#program;
    await eventually('the file system ends', () => program?.exitCode !== null || program.signalCode !== null);
  }
}
