import { spawn, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { AdminClient } from '#cli/admin-client';
import { connectCri, type CriClient } from '#cri-api/client';
import { eventually, within } from '../../e2e/harness/wait.ts';

const overlayMagic = 0x794c7630;

/** The berthd of `make run`: everything it has is below two directories, and its names are its own. */
export class DemoDaemon {
  readonly run = '/run/berth-run';
  readonly cgroup = 'berth-run';
  readonly state: string;
  readonly socket: string;
  readonly cri: CriClient;
  readonly admin: AdminClient;
  readonly logFile: string;
  readonly #top: string;
  readonly #caches: string;
  readonly #gone = Promise.withResolvers<string>();
  #process: ChildProcess | undefined;

  constructor(top: string) {
    this.#top = top;
    this.#caches = path.join(top, '.cache/run');
    mkdirSync(this.#caches, { recursive: true });
    // The upper layer of an overlay cannot itself be on one (a checkout inside a container).
    const nested = statfsSync(this.#caches).type === overlayMagic;
    this.state = nested ? path.join(this.run, 'state') : path.join(this.#caches, 'state');
    this.socket = path.join(this.run, 'berth.sock');
    this.logFile = path.join(this.#caches, 'berthd.log');
    this.cri = connectCri(this.socket);
    this.admin = new AdminClient(path.join(this.run, 'admin.sock'));
  }

  get directories(): readonly string[] {
    return [this.run, this.state];
  }

  /** For crictl --config. */
  get crictlFile(): string {
    return path.join(this.#caches, 'crictl.yaml');
  }

  /** "signal SIGKILL" or "exit code 70" when berthd has ended, whoever wanted it. */
  get gone(): Promise<string> {
    return this.#gone.promise;
  }

  get configFile(): string {
    return path.join(this.#caches, 'config.toml');
  }

  async isServed(): Promise<boolean> {
    if (!existsSync(this.socket)) return false;
    return this.cri.runtime.version({}, { timeoutMs: 1000 }).then(
      () => true,
      () => false,
    );
  }

  /** Starts berthd and waits until it is ready. */
  async start(): Promise<void> {
    writeFileSync(this.configFile, await this.#config());
    const endpoint = `unix://${this.socket}`;
    writeFileSync(
      this.crictlFile,
      `# Made by make run.\nruntime-endpoint: ${endpoint}\nimage-endpoint: ${endpoint}\ntimeout: 10\n`,
    );
    // What the last one said is what is looked for when it ended badly.
    if (existsSync(this.logFile)) renameSync(this.logFile, `${this.logFile}.1`);
    const log = openSync(this.logFile, 'w');
    // A process group of its own: Ctrl-C is for us, and we end berthd in order.
    const args = ['--config', this.configFile];
    const child = spawn(path.join(this.#top, 'deploy/berthd'), args, { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    this.#process = child;
    child.once('exit', (code, signal) =>
      this.#gone.resolve(signal === null ? `exit code ${code ?? 0}` : `signal ${signal}`),
    );
    child.once('error', (error) => this.#gone.reject(error));
    const gone = this.gone.then((how) => {
      throw new Error(`berthd ended with ${how}:\n${this.logTail()}`);
    });
    gone.catch(() => undefined);
    const ready = eventually('berthd is ready', () => this.cri.runtime.listPodSandbox({}, { timeoutMs: 1000 }), 30_000);
    await Promise.race([ready, gone]);
  }

  /** Removes every pod, ends berthd and removes its directories. */
  async end(): Promise<void> {
    const child = this.#process;
    if (child?.exitCode === null && child.signalCode === null) {
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      await this.admin.call('POST', '/shutdown', { removeAll: true });
      await within('berthd ends after shutdown', 30_000, ended);
    }
    this.cri.close();
    for (const directory of this.directories) rmSync(directory, { recursive: true, force: true });
  }

  /** Lets go of a berthd that has ended by itself; its pods and records stay. */
  leave(): void {
    this.cri.close();
  }

  /** When the orderly end failed: at least no process is left. */
  kill(): void {
    this.#process?.kill('SIGKILL');
  }

  logTail(): string {
    return readFileSync(this.logFile, 'utf8').split('\n').slice(-25).join('\n');
  }

  /** Defaults, but for names: a berthd that is installed on this machine is not disturbed. */
  async #config(): Promise<string> {
    const metrics = (await isFree(9478)) ? '127.0.0.1:9478' : '';
    return `# Made by make run; berthd's defaults but for the names.
root = "${this.state}"
run = "${this.run}"
[metrics]
address = "${metrics}"
[network]
bridge = "berth-run0"
nft_table = "berth_run"
[cgroup]
default_parent = "/${this.cgroup}"
shim_parent = "/${this.cgroup}-shims"
`;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
