import { readFile } from 'node:fs/promises';
import type { Ctx } from '#base/ctx';
import { unattended } from '#base/unattended';
import { type RuntimeParts, shimCgroup } from './runtime-parts.ts';

/** Also where nobody calls: an exit that a shim does not tell is told by nobody. */
const roundMs = 60_000;

/** A line for each connected shim that does not answer. */
export async function silentShims(parts: RuntimeParts): Promise<readonly string[]> {
  const asked = [...parts.shims.values()].filter(({ connected }) => connected);
  const lines = await Promise.all(
    asked.map(async ({ watch }) => ((await watch.answers()) ? undefined : watch.silence)),
  );
  return lines.filter((line) => line !== undefined);
}

/** Until berthd lets go. What is found is logged by whoever is asked. */
export function askNowAndThen(parts: RuntimeParts): void {
  const timer = setInterval(() => unattended(parts.log, 'asking the shims', silentShims(parts)), roundMs).unref();
  parts.closing.addEventListener('abort', () => clearInterval(timer), { once: true });
}

/** Of a pod whose shim has not said so itself: in the leaf of the shim it alone has a parent outside. 0: not found. */
export async function findShimPid(parts: RuntimeParts, ctx: Ctx, podId: string): Promise<number> {
  const pids = await parts.cgroups.processes(ctx, shimCgroup(parts, podId)).catch((): number[] => []);
  const parents = await Promise.all(pids.map(parentOf));
  return pids.find((_pid, at) => !pids.includes(parents[at] ?? 0)) ?? 0;
}

async function parentOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name is in parentheses and may hold anything.
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
}
