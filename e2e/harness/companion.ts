import type { ChildProcess } from 'node:child_process';
import { endByForce, type TestNode } from './node.ts';
import { eventually, within } from './wait.ts';

/** A command that runs in a node beside the test, which talks with it. It ends with the node at the latest. */
export class Companion {
  /** What it wrote so far, both streams. */
  text = '';
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;

  constructor(node: TestNode, argv: readonly string[]) {
    this.#child = node.spawn(argv, ['pipe', 'pipe', 'pipe']);
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.text += text));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.text += text));
    this.#child.stdin?.on('error', () => undefined);
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve));
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits until it has written this. */
  async says(what: string | RegExp): Promise<void> {
    const said = (): boolean => (typeof what === 'string' ? this.text.includes(what) : what.test(this.text));
    await eventually(`"${what}" is said`, said).catch((error: unknown) => {
      throw new Error(`"${what}" was not said, but: ${this.text}`, { cause: error });
    });
  }

  /** Its exit code; null when a signal ended it. Ends its input first. */
  async end(): Promise<number | null> {
    this.#child.stdin?.end();
    return this.exit();
  }

  /** Waits until it ends by itself. */
  async exit(): Promise<number | null> {
    return within(`the companion ends; it said ${this.text}`, 20_000, this.#ended);
  }

  async kill(): Promise<void> {
    await endByForce(this.#child);
  }
}
