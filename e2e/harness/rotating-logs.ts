import { existsSync, readFileSync, renameSync } from 'node:fs';
import { parseLog, type TestContainer } from './pods.ts';

/** A container that prints "0", "1", "2", … and whose log is rotated as a kubelet does it. */
export class CountingContainer {
  readonly container: TestContainer;
  #rotations = 0;

  constructor(container: TestContainer) {
    this.container = container;
  }

  /** Renames the log and asks for a new one, as the kubelet does. */
  async rotate(): Promise<void> {
    const { logFile } = this.container;
    const rotated = `${logFile}.${this.#rotations + 1}`;
    renameSync(logFile, rotated);
    this.#rotations += 1;
    await this.container.pod.berthd.cri.runtime.reopenContainerLog({ container_id: this.container.id });
  }

  /** A rename without the request: what a kubelet that saw berthd die leaves behind; it asks again later. */
  async reopen(): Promise<void> {
    await this.container.pod.berthd.cri.runtime.reopenContainerLog({ container_id: this.container.id });
  }

  /** Every number that was logged, oldest file first. */
  numbers(): number[] {
    const { logFile } = this.container;
    const files = Array.from({ length: this.#rotations }, (_, at) => `${logFile}.${at + 1}`).concat(logFile);
    return files
      .filter((file) => existsSync(file))
      .flatMap((file) => parseLog(readFileSync(file, 'utf8')))
      .map((line) => Number(line.text));
  }

  /** Sentences about lines that are missing, doubled or out of order; none when every line is there exactly once. */
  faults(): string[] {
    const numbers = this.numbers();
    const wrong = numbers.findIndex((number, at) => number !== at);
    if (wrong < 0) return [];
    const around = numbers.slice(Math.max(0, wrong - 2), wrong + 3).join(' ');
    return [`${this.container.id}: line ${wrong} is ${numbers[wrong]} (… ${around} …) of ${numbers.length}`];
  }
}

/** Shell lines that count as fast as asked, in bursts ten times a second. */
export function countingCommand(linesPerSecond: number): string {
  const burst = Math.max(1, Math.round(linesPerSecond / 10));
  return `trap 'exit 0' TERM; i=0; while :; do n=0; while [ $n -lt ${burst} ]; do echo $i; i=$((i+1)); n=$((n+1)); done; usleep 100000; done`;
}
