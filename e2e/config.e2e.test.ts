import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Berthd, startBerthd } from './harness/berthd.ts';
import { top } from './harness/paths.ts';
import { shell, TestPod } from './harness/pods.ts';
import { eventually } from './harness/wait.ts';

// The files of a running berthd are changed.
let berthd: Berthd;
let pod: TestPod;
let dropIn: string;
let manager: FakeServiceManager;
beforeAll(async () => {
  manager = await FakeServiceManager.start();
  berthd = await startBerthd({ logLevel: 'info' });
  await berthd.loadBusybox();
  pod = await TestPod.run(berthd);
  await pod.start(shell('sleep 1000'));
  const directory = path.join(path.dirname(berthd.configFile), 'config.d');
  mkdirSync(directory);
  dropIn = path.join(directory, '10-change.toml');
});
afterAll(async () => {
  await berthd.teardown();
  await manager.end();
}, 120_000);

test('SIGHUP applies what can be: the log becomes talkative at once', async () => {
  expect(berthd.log).not.toContain('"level":"debug"');
  writeFileSync(dropIn, '[log]\nlevel = "debug"\n');
  process.kill(berthd.pid, 'SIGHUP');
  await eventually('the reload is logged', () => berthd.log.includes('the config was reloaded'));
  await berthd.cri.runtime.version({});
  await eventually('a debug line', () => berthd.log.includes('"level":"debug"'));
});

test('`berth config reload` says what was applied and what needs a restart', async () => {
  writeFileSync(dropIn, '[log]\nlevel = "debug"\n[timeouts]\nkill = "7s"\n[network]\npool_size = 7\n');
  const { code, stdout } = await berthd.berth(['config', 'reload']);
  expect(code).toBe(0);
  expect(stdout).toContain('applied         timeouts.kill: "30s" -> "7s"');
  expect(stdout).toContain('needs a restart network.pool_size: 4 -> 7');
  const shown = await berthd.berth(['config', 'show']);
  const config = JSON.parse(shown.stdout) as { timeouts: { killMs: number }; network: { poolSize: number } };
  expect([config.timeouts.killMs, config.network.poolSize]).toEqual([7000, 4]);
  expect(shown.stderr).toContain('needs a restart network.pool_size');
});

test('a mistake keeps the old config, and is named by reload, show, check and the log', async () => {
  writeFileSync(dropIn, '[timeouts]\nkil = "1s"\n');
  const wrong = /10-change\.toml: unknown key timeouts\.kil: did you mean timeouts\.kill\?/;
  const { code, stdout } = await berthd.berth(['config', 'reload']);
  expect(code).toBe(1);
  expect(stdout).toMatch(wrong);
  const shown = await berthd.berth(['config', 'show']);
  expect(shown.stderr).toMatch(wrong);
  expect(shown.stdout).toContain('"killMs": 7000');
  const checked = await berthd.berth(['config', 'check', berthd.configFile]);
  expect(checked.code).not.toBe(0);
  expect(checked.stderr).toMatch(wrong);
  await eventually('the log names it', () => wrong.test(berthd.log));
  expect(readFileSync(berthd.configFile, 'utf8')).toContain(berthd.root);
});

test('`berth config check` shows what right files say', async () => {
  rmSync(dropIn);
  const { code, stdout } = await berthd.berth(['config', 'check', berthd.configFile]);
  expect(code).toBe(0);
  expect(stdout).toContain(`# from ${berthd.configFile}\n`);
  expect(stdout).toContain(`"root": "${berthd.root}"`);
  expect(stdout).toContain('"pool_size": 4');
});

test.each(['root', 'run'])(
  'a %s where nothing can be kept ends berthd at once, and is told by config check',
  async (key) => {
    const file = path.join(berthd.node.directory, 'unfit.toml');
    writeFileSync(
      file,
      readFileSync(berthd.configFile, 'utf8').replace(new RegExp(`^${key} = .*`, 'm'), `${key} = "/proc/x"`),
    );
    const reason = `${key} = "/proc/x" cannot be used: /proc is on a file system of the kernel's (proc)`;
    const started = await berthd.node.run([path.join(top, 'deploy/berthd'), '--config', file]);
    expect(started.code).toBe(78);
    expect(started.stderr).toContain(reason);
    const checked = await berthd.berth(['config', 'check', file]);
    expect(checked.code).not.toBe(0);
    expect(checked.stderr).toContain(reason);
  },
);

test('systemd is told when berthd serves, reloads, lives and ends', async () => {
  await eventually('the watchdog hears', () => manager.said.includes('WATCHDOG=1'));
  expect(manager.said).toContain('READY=1 STATUS=serving');
  expect(manager.said).toContainEqual(expect.stringMatching(/^RELOADING=1 MONOTONIC_USEC=\d+$/));
  expect(manager.said).toContainEqual(expect.stringMatching(/^READY=1 STATUS=config refused: .*timeouts\.kil/));
  await berthd.restart();
  await eventually('the end is told', () => manager.said.includes('STOPPING=1'));
});

test('pods went through all of it', async () => {
  expect(await pod.status()).toBe('SANDBOX_READY');
  const { containers } = await berthd.cri.runtime.listContainers({});
  expect(containers.map(({ state }) => state)).toEqual(['CONTAINER_RUNNING']);
  expect(await berthd.strays()).toEqual([]);
});

/** Listens where systemd would, and makes berthd speak: Node has no such sockets, perl is on every Debian. */
class FakeServiceManager {
  readonly #process: ChildProcess;
  readonly #directory: string;
  #text = '';

  private constructor(process: ChildProcess, directory: string) {
    this.#process = process;
    this.#directory = directory;
    process.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#text += text));
  }

  static async start(): Promise<FakeServiceManager> {
    const directory = mkdtempSync('/tmp/berth-notify-');
    const socket = path.join(directory, 'socket');
    const script = `
      use Socket; $| = 1; socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; bind($s, pack_sockaddr_un($ARGV[0])) or die;
      print "bound\\n"; while (1) { recv($s, my $text, 4096, 0); $text =~ s/\\n/ /g; print "$text\\n"; }`;
    const own = new FakeServiceManager(
      spawn('perl', ['-e', script, socket], { stdio: ['ignore', 'pipe', 'inherit'] }),
      directory,
    );
    await eventually('the socket is bound', () => own.said.includes('bound'));
    process.env['NOTIFY_SOCKET'] = socket;
    process.env['WATCHDOG_USEC'] = '200000';
    return own;
  }

  get said(): readonly string[] {
    return this.#text.split('\n');
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill();
    await ended;
    rmSync(this.#directory, { recursive: true });
  }
}
