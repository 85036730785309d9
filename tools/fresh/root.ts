import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync, type WriteStream } from 'node:fs';
import path from 'node:path';
import { runStep } from './process.ts';
import { mirrorsOf, reachSettings, sourcesList } from './sources.ts';

// As a fresh Debian has it, with `make` and the certificates that npm needs; mmdebstrap's smallest with apt lacks them.
const packages = 'make,ca-certificates,mount';
const week = 7 * 24 * 3600 * 1000;

/** Where a release's root, its packages and npm's lie between runs. */
export class Root {
  readonly release: string;
  readonly directory: string;
  readonly #top: string;
  readonly #caches: string;

  constructor(top: string, release: string) {
    this.#top = top;
    this.release = release;
    this.#caches = path.join(top, '.cache/fresh', release);
    this.directory = path.join(this.#caches, 'root');
    mkdirSync(path.join(this.#caches, 'archives/partial'), { recursive: true });
    mkdirSync(this.#npmCache, { recursive: true });
  }

  get logFile(): string {
    return path.join(this.#top, '.cache/fresh', `${this.release}.log`);
  }

  get #npmCache(): string {
    return path.join(this.#top, '.cache/fresh/npm-cache');
  }

  /** Directories of this machine that are seen in the root: lines "from to". */
  get binds(): string {
    return `${path.join(this.#caches, 'archives')} /var/cache/apt/archives\n${this.#npmCache} /root/.npm\n`;
  }

  /** Unpacks the root of the last week, or makes one; `made` is told. */
  async make(log: WriteStream, signal: AbortSignal): Promise<'made' | 'cached'> {
    this.remove();
    const archive = path.join(this.#caches, 'root.tar');
    const sources = this.#sources();
    if (existsSync(archive) && Date.now() - statSync(archive).mtimeMs < week) {
      mkdirSync(this.directory);
      await runStep({ command: ['tar', '-C', this.directory, '--numeric-owner', '-xf', archive] }, log, signal);
      return 'cached';
    }
    const list = path.join(this.#caches, 'sources.list');
    writeFileSync(list, sources);
    const options = ['--mode=root', '--variant=apt', `--include=${packages}`, '--dpkgopt=force-unsafe-io'];
    const reach = path.join(this.#caches, 'apt.conf');
    writeFileSync(reach, reachSettings(output('apt-config', ['dump'])));
    options.push(`--aptopt=${reach}`);
    // In namespaces of its own, so that nothing stays when it is killed.
    const alone = ['unshare', '--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc'];
    const command = [...alone, 'mmdebstrap', ...options, this.release, this.directory, list];
    await runStep({ command, env: { TMPDIR: this.#caches } }, log, signal);
    const whole = `${archive}.new`;
    await runStep({ command: ['tar', '-C', this.directory, '--numeric-owner', '-cf', whole, '.'] }, log, signal);
    renameSync(whole, archive);
    return 'made';
  }

  /** The checkout's files, as git has them named and the work tree has them written; and Node with npm to start from. */
  async fill(npm: string, log: WriteStream, signal: AbortSignal): Promise<void> {
    const berth = path.join(this.directory, 'root/berth');
    const node = path.join(this.directory, 'opt/node');
    mkdirSync(berth);
    const names = path.join(this.#caches, 'files');
    const gone = new Set(this.#git('ls-files', '-z', '--deleted'));
    writeFileSync(
      names,
      this.#git('ls-files', '-z')
        .filter((name) => !gone.has(name))
        .join('\0'),
    );
    const copy = 'tar -C "$1" --null --no-recursion -T "$2" -cf - | tar -C "$3" --no-same-owner -xf -';
    await runStep({ command: ['sh', '-c', copy, 'copy', this.#top, names, berth] }, log, signal);
    // The layout of the archives of nodejs.org.
    mkdirSync(path.join(node, 'bin'), { recursive: true });
    mkdirSync(path.join(node, 'lib/node_modules'), { recursive: true });
    cpSync(process.execPath, path.join(node, 'bin/node'));
    cpSync(npm, path.join(node, 'lib/node_modules/npm'), { recursive: true });
    execFileSync('ln', ['-s', '../lib/node_modules/npm/bin/npm-cli.js', path.join(node, 'bin/npm')]);
    for (const file of ['/etc/resolv.conf', '/etc/hosts', '/etc/ssl/certs/ca-certificates.crt']) {
      if (existsSync(file)) cpSync(file, path.join(this.directory, file), { dereference: true });
    }
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  #git(...args: string[]): string[] {
    return output('git', ['-C', this.#top, ...args])
      .split('\0')
      .filter(Boolean);
  }

  #sources(): string {
    const codename = /^VERSION_CODENAME=(.*)$/m.exec(output('cat', ['/etc/os-release']))?.[1] ?? '';
    const format = '$(REPO_URI) $(RELEASE)';
    const targets = output('apt-get', [
      'indextargets',
      '--no-release-info',
      '--format',
      format,
      'Created-By: Packages',
    ]);
    const mirrors = mirrorsOf(targets, codename);
    if (mirrors === undefined) throw new Error(`apt is configured for no Debian archive of ${codename}`);
    return sourcesList(mirrors, this.release);
  }
}

function output(file: string, args: readonly string[]): string {
  return execFileSync(file, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
}
