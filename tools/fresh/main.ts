// `make fresh`: makes a root of each Debian release from packages, with all updates, and does there what README tells a
// newcomer to do. RELEASE=trixie: that one alone. What it proves: packages that tools/deps names are enough, everything
// compiles with that release's compiler and headers, and a pod runs and leaves nothing. The kernel is this machine's, and
// Node the pinned one with npm beside it, laid out as nodejs.org does: not the distribution's.
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { readFileSync } from 'node:fs';
import { groupName, makeGroups, removeDeadGroups, removeGroups } from './cgroups.ts';
import { fetchNpm, npmReach } from './npm.ts';
import { openLog, runStep } from './process.ts';
import { Root } from './root.ts';

const releases = ['bookworm', 'trixie'];
const top = path.dirname(path.dirname(import.meta.dirname));
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function tryRelease(release: string, npm: string, reach: NodeJS.ProcessEnv, signal: AbortSignal): Promise<void> {
  const root = new Root(top, release);
  const log = openLog(root.logFile);
  const group = groupName(release);
  const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    const result = await work();
    say(`    ${release}: ${what}: ${Math.round((performance.now() - started) / 1000)} s`);
    return result;
  };
  const inside = (command: string, network: 'own' | 'machine'): Promise<void> =>
    runStep(
      {
        command: enter(root.directory, group, reach, command),
        env: { FRESH_BINDS: root.binds, FRESH_NETWORK: network },
      },
      log,
      signal,
    );
  try {
    await timed('a root', () => root.make(log, signal));
    await root.fill(npm, log, signal);
    makeGroups(group);
    await timed('make deps build', () => inside('make deps build', 'machine'));
    await timed('make run ONCE=1', () => inside('ip link set lo up && make run ONCE=1', 'own'));
  } catch (error) {
    log.end();
    await finished(log);
    if (!signal.aborted) say(readFileSync(root.logFile, 'utf8').split('\n').slice(-60).join('\n'));
    throw error;
  } finally {
    log.end();
    await removeGroups(group);
    root.remove();
  }
}

/** A shell of the root with nothing of this machine's environment but how the network is reached. */
function enter(root: string, group: string, reach: NodeJS.ProcessEnv, command: string): string[] {
  const env = {
    ...proxies(),
    ...reach,
    HOME: '/root',
    LANG: 'C.UTF-8',
    PATH: '/opt/node/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  };
  const assignments = Object.entries(env).map(([key, value]) => `${key}=${value ?? ''}`);
  const script = `cd /root/berth && ${command}`;
  return ['sh', path.join(import.meta.dirname, 'enter'), root, group, 'env', '-i', ...assignments, 'sh', '-c', script];
}

function proxies(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([key]) => /^(https?|no)_proxy$/i.test(key)));
}

const asked = process.env['RELEASE'] ?? '';
const chosen = asked === '' ? releases : releases.filter((release) => release === asked);
if (chosen.length === 0) throw new Error(`RELEASE is one of ${releases.join(', ')}`);

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => stop.abort(new Error(signal)));
say(`==> fresh: ${chosen.join(', ')}`);
const started = performance.now();
const alive = setInterval(() => say(`    … fresh: ${Math.round((performance.now() - started) / 1000)} s`), 30_000);
await removeDeadGroups();
const npm = fetchNpm(top);
const reach = npmReach();
// Both at once: while one waits for the network the other compiles.
const results = await Promise.allSettled(chosen.map((release) => tryRelease(release, npm, reach, stop.signal)));
clearInterval(alive);
let failed = 0;
for (const [index, result] of results.entries()) {
  if (result.status === 'fulfilled') continue;
  failed++;
  const reason = result.reason instanceof Error ? result.reason.message : String(result.reason);
  say(`    ${chosen[index] ?? ''}: failed: ${reason} (all of it: .cache/fresh/${chosen[index] ?? ''}.log)`);
}
say(`${results.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
