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

/** What the leaf of a shim holds besides it, by name (PR_SET_NAME): they outlive it, pause until somebody kills it. */
const helpers: ReadonlySet<string> = new Set(['berth-pause', 'berth-log']);

/** Of a pod whose shim has not said so itself: in the leaf of the shim it alone has a parent outside. 0: not found. */
export async function findShimPid(parts: RuntimeParts, ctx: Ctx, podId: string): Promise<number> {
  const seen = await withoutHelpers(parts, ctx, podId).catch(() => []);
  const pids = seen.map(({ pid }) => pid);
  return seen.find(({ parent }) => !pids.includes(parent))?.pid ?? 0;
}

/** Whether a process is there that may be the pod's shim. @throws when that cannot be found out */
export async function mayLive(parts: RuntimeParts, ctx: Ctx, podId: string): Promise<boolean> {
  return (await withoutHelpers(parts, ctx, podId)).length > 0;
}

interface Seen {
  readonly pid: number;
  readonly name: string;
  readonly parent: number;
}

async function withoutHelpers(parts: RuntimeParts, ctx: Ctx, podId: string): Promise<readonly Seen[]> {
  const pids = await parts.cgroups.processes(ctx, shimCgroup(parts, podId));
  const seen = await Promise.all(pids.map(look));
  return seen.filter(({ name }) => !helpers.has(name));
}

async function look(pid: number): Promise<Seen> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name is in parentheses and may hold anything.
  const end = text.lastIndexOf(')');
  const name = text.slice(text.indexOf('(') + 1, Math.max(0, end));
  return { pid, name, parent: Number(text.slice(end + 2).split(' ')[1] ?? 0) };
}
