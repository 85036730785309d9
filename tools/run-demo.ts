// `make run`: a berthd of the checkout, one real pod from an image made of Debian's busybox, what it printed and how
// long each step took; then it keeps serving. With --once it ends after the pod and proves that nothing is left.
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { StopWatch } from '#cli/stop-watch';
import { eventually } from '../e2e/harness/wait.ts';
import { buildBusyboxArchive, busyboxReference } from './busybox-image.ts';
import { DemoDaemon } from './demo/daemon.ts';
import { runDemoPod } from './demo/pod.ts';
import { RouterSettings } from './demo/settings.ts';
import { newTraces, readTraces } from './demo/traces.ts';

const top = path.dirname(import.meta.dirname);
const once = process.argv.includes('--once');
const image = busyboxReference;
const archive = path.join(top, '.cache/images/busybox.tar');

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<void> {
  const daemon = new DemoDaemon(top);
  if (await daemon.isServed()) {
    throw new Error(`another make run is serving at ${daemon.socket}: end it first (Ctrl-C where it runs)`);
  }
  const names = { cgroup: daemon.cgroup, directories: daemon.directories };
  const before = await readTraces(names);
  const settings = new RouterSettings(path.join(daemon.run, 'router-settings.json'));
  const watch = new StopWatch();
  try {
    if (!existsSync(archive)) {
      say('==> making the busybox image');
      mkdirSync(path.dirname(archive), { recursive: true });
      await watch.step('make the image', async () => buildBusyboxArchive('/bin/busybox', archive));
    }
    say('==> starting berthd');
    await watch.step('berthd ready', () => daemon.start());
    const body = { path: archive, reference: image };
    await watch.step('load the image', () => daemon.admin.call('POST', '/images/load', body));
    say(`==> running a pod of ${image}\n`);
    await runDemoPod(daemon, watch, image, say);
    say(`\n${watch.toString()}\n`);
    if (!once) {
      const ended = await serve(daemon);
      if (ended !== undefined) {
        daemon.leave();
        settings.keep();
        throw new BerthdEnded(ended, daemon.logFile);
      }
    }
  } catch (error) {
    if (error instanceof BerthdEnded) throw error;
    say(`\nberthd's last words (${daemon.logFile}):\n${existsSync(daemon.logFile) ? daemon.logTail() : ''}`);
    await daemon.end().catch(() => daemon.kill());
    settings.restore();
    throw error;
  }
  if (once) await proveNothingOwned(daemon);
  await daemon.end();
  settings.restore();
  if (!once) return;
  const left = async (): Promise<string[]> => newTraces(before, await readTraces(names));
  // The kernel takes namespaces and links apart in its own time.
  await eventually('nothing is left', async () => (await left()).length === 0, 5000).catch(() => undefined);
  const traces = await left();
  if (traces.length > 0) throw new Error(`left behind:\n  ${traces.join('\n  ')}`);
  say('nothing is left: no process, mount, namespace, control group, link, nftables rule or file');
}

/** Somebody else ended berthd: nothing is taken away, so that it can be seen what went on. */
class BerthdEnded extends Error {
  constructor(how: string, logFile: string) {
    super(
      `berthd was ended by ${how}; its pods go on without it.\n` +
        `  Its log: ${logFile}; the next make run keeps it as ${path.basename(logFile)}.1\n` +
        '  make run starts it anew, which takes the pods over; Ctrl-C there removes them all',
    );
  }
}

/** Waits for Ctrl-C. @returns how berthd ended, if that came first */
async function serve(daemon: DemoDaemon): Promise<string | undefined> {
  const berth = `deploy/berth --socket ${daemon.socket}`;
  say(`berthd serves the CRI at ${daemon.socket} until Ctrl-C. Try, in another shell:

  ${berth} run --rm --time ${image} echo hello
  ${berth} ps -a
  ${berth} check
  alias crictl='.cache/cri-tools-v1.37.0/crictl --config ${path.relative(top, daemon.crictlFile)}'     (make crictl builds it)
  crictl info
  crictl pods

Log: ${daemon.logFile}`);
  const asked = new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
  const ended = await Promise.race([asked, daemon.gone]);
  if (ended !== undefined) return ended;
  say('\n==> removing all pods and ending berthd');
  return undefined;
}

async function proveNothingOwned(daemon: DemoDaemon): Promise<void> {
  const strays = await daemon.admin.check();
  if (strays.length > 0) throw new Error(`berth check lists:\n  ${strays.join('\n  ')}`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`make run: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
