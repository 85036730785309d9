import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { silentLogger } from '#base/log';
import { Fd } from '#linux/fd';
import { loadAddon } from '#linux/load';
import { openCgroups } from '../cgroup/open-cgroups.ts';
import type { ContainerInput, PodInput } from '../container-input.ts';
import { LinuxRuntime } from '../linux-runtime.ts';
import { usualRlimits } from '../spec/rlimits.fixture.ts';
import type { PodProcess } from '../runtime.ts';
import { ctx, type RunningContainer, type RuntimeBench, type RuntimeMachine, until } from './runtime-bench.fixture.ts';

const busybox = '/bin/busybox';
const shimBinary = new URL('../../../build/native/shim/berth-shim', import.meta.url).pathname;

/** What this machine lacks to run real pods; undefined: nothing. */
export function lackOfLinux(): string | undefined {
  if (process.getuid?.() !== 0) return 'root';
  return [busybox, shimBinary].find((file) => !existsSync(file));
}

/** The kernel, real shims, and containers whose root is busybox, in groups of this process's own. */
export class LinuxMachine implements RuntimeMachine {
  readonly group = `/berth-test-${process.pid}`;
  readonly podsDirectory: string;
  readonly #base = mkdtempSync('/tmp/berth-runtime-');
  readonly #addon = loadAddon();
  readonly cgroups = openCgroups(this.#addon);
  readonly #namespaces: Fd[] = [];

  constructor() {
    this.podsDirectory = `${this.#base}/pods`;
    makeRoot(`${this.#base}/layers/busybox`);
  }

  /** @param shim the program that is started as a shim */
  open(shim = shimBinary): Promise<LinuxRuntime> {
    return LinuxRuntime.open({
      addon: this.#addon,
      cgroups: this.cgroups,
      log: silentLogger,
      shimBinary: shim,
      podsDirectory: this.podsDirectory,
      shimCgroupParent: `${this.group}-shims`,
      defaultCgroupParent: this.group,
      rlimits: usualRlimits,
      buildId: 'test',
      features: { apparmor: false, selinux: false, seccomp: true },
    });
  }

  async pod(): Promise<Pick<PodInput, 'network' | 'netns'>> {
    const netns = new Fd(await this.#addon.createNetns(), (fd) => this.#addon.close(fd));
    this.#namespaces.push(netns);
    return { network: 'pod', netns };
  }

  container(id: string): Pick<ContainerInput, 'rootfs' | 'logPath'> {
    const directory = `${this.#base}/containers/${id}`;
    for (const name of ['upper', 'work']) mkdirSync(`${directory}/${name}`, { recursive: true });
    const rootfs = {
      layersDirectory: `${this.#base}/layers`,
      lowers: ['busybox'],
      upper: `${directory}/upper`,
      work: `${directory}/work`,
      readonly: false,
      volumes: [],
    };
    return { rootfs, logPath: this.#logPath(id) };
  }

  log(id: string): string {
    if (!existsSync(this.#logPath(id))) return '';
    return readFileSync(this.#logPath(id), 'utf8').replace(/^\S+ std\w+ F /gm, '');
  }

  /** Moves a process into a group of nobody's, in every hierarchy. */
  async hide(pid: number, group: string): Promise<void> {
    const { enter } = group === '/' ? this.cgroups.handle(group) : await this.cgroups.create(ctx, group, {});
    for (const { dir } of enter) writeFileSync(`${dir}/cgroup.procs`, String(pid));
  }

  killShim({ shimPid }: PodProcess): void {
    process.kill(shimPid, 'SIGKILL');
  }

  killPause({ pausePid }: PodProcess): void {
    process.kill(pausePid, 'SIGKILL');
  }

  stopShim({ shimPid }: PodProcess): Disposable {
    process.kill(shimPid, 'SIGSTOP');
    return {
      [Symbol.dispose]: () => {
        if (existsSync(`/proc/${shimPid}`)) process.kill(shimPid, 'SIGCONT');
      },
    };
  }

  async listen(bench: RuntimeBench, at: RunningContainer, port: number): Promise<AsyncDisposable> {
    const args = ['/bin/sh', '-c', `echo said >/tmp/said; exec httpd -f -h /tmp -p 127.0.0.1:${port}`];
    const choice = { stdin: false, stdout: false, stderr: false, tty: false, args, spec: at.created.spec };
    const running = await bench.runtime.exec(ctx, at.podId, at.id, choice);
    await until(async () => {
      try {
        (await bench.runtime.dial(ctx, at.podId, port)).destroy();
        return true;
      } catch {
        return false;
      }
    }, `somebody to listen on ${port}`);
    return {
      [Symbol.asyncDispose]: async () => {
        await running.kill();
        await running[Symbol.asyncDispose]();
      },
    };
  }

  async cleanUp(): Promise<void> {
    for (const netns of this.#namespaces) netns[Symbol.dispose]();
    for (const parent of [`${this.group}-elsewhere`, `${this.group}-shims`, this.group]) {
      await this.cgroups.remove(ctx, parent);
    }
    rmSync(this.#base, { recursive: true });
  }

  #logPath(id: string): string {
    return `${this.#base}/logs/${id}/0.log`;
  }
}

/** A root that is busybox, for containers. */
export function makeRoot(root: string): void {
  for (const name of ['bin', 'etc', 'tmp', 'proc', 'dev', 'sys']) mkdirSync(`${root}/${name}`, { recursive: true });
  cpSync(busybox, `${root}/bin/busybox`);
  const applets = ['sh', 'cat', 'sleep', 'head', 'tail', 'tr', 'yes', 'httpd', 'stty', 'echo', 'true'];
  for (const applet of applets) symlinkSync('busybox', `${root}/bin/${applet}`);
  writeFileSync(`${root}/etc/notes`, 'no program\n', { mode: 0o644 });
}
