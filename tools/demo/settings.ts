import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

const conf6 = '/proc/sys/net/ipv6/conf';

/** Kernel settings that make the machine a router, in the order in which they are put back. */
function settingFiles(): string[] {
  return [
    '/proc/sys/net/ipv4/ip_forward',
    `${conf6}/all/forwarding`,
    ...list(conf6).map((name) => `${conf6}/${name}/accept_ra`),
  ];
}

/**
 * berthd switches forwarding on and leaves it so: others may rely on it by then. A demonstration that ends puts back
 * what it found.
 */
export class RouterSettings {
  readonly #file: string;
  readonly #before: ReadonlyMap<string, string>;

  /** @param file where a run whose pods go on without it kept what it had found; a reboot clears it */
  constructor(file: string) {
    this.#file = file;
    const kept = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as [string, string][]) : undefined;
    this.#before = new Map(kept ?? settingFiles().map((setting) => [setting, read(setting)]));
  }

  /** For the next run, which ends what this one leaves. */
  keep(): void {
    writeFileSync(this.#file, JSON.stringify([...this.#before]));
  }

  restore(): void {
    for (const [file, value] of this.#before) {
      if (value !== '' && read(file) !== value && read(file) !== '') writeFileSync(file, value);
    }
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}
