import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import type { Addon, SharedFile } from '#linux/addon';
import type { Fd } from '#linux/fd';
import { parseMaxOpenFiles, parseNetDev } from './proc-text.ts';
import type { RuntimeParts } from './runtime-parts.ts';
import type { InterfaceStats, ProcessStats, RuntimeSample, WantedStats } from './stats.ts';

/** Of net/dev the begin has to do: some five hundred interfaces, among which eth0 is found. */
const procLimit = 64 * 1024;
/** Open files counted for one container: more are as many as that. */
const descriptorLimit = 20_000;
const chunk = 256;
/** For a shim to say that pause is there, once in a pod's life. */
const pausePatienceMs = 200;

/** Numbers of containers and pods, read from the files of their groups and of pause's network. */
export async function sample(parts: RuntimeParts, ctx: Ctx, wanted: WantedStats): Promise<RuntimeSample> {
  ctx.signal.throwIfAborted();
  const [cgroups, networks, processes] = await Promise.all([
    parts.cgroups.sample(ctx, wanted.cgroups, wanted.detail),
    sampleNetworks(parts, ctx, wanted.networks),
    sampleProcesses(parts, ctx, wanted.processes),
  ]);
  return { cgroups, ...networks, processes };
}

/** A file of another process's network namespace is as good as being in it. */
async function sampleNetworks(
  parts: RuntimeParts,
  ctx: Ctx,
  podIds: readonly string[],
): Promise<Pick<RuntimeSample, 'networks' | 'cutNetworks'>> {
  const found = await Promise.all(podIds.map((podId) => findPause(parts, ctx, podId)));
  const pods = found.flatMap((pod) => (pod ? [pod] : []));
  const directories = pods.map(({ pause }) => `self/fd/${pause.number}`);
  const texts = await readOfProcesses(parts.addon, directories, { after: '/net/dev', cut: true });
  const networks = new Map<string, readonly InterfaceStats[]>();
  const cutNetworks = new Set<string>();
  for (const [at, { podId }] of pods.entries()) {
    if (!texts[at]) continue;
    const { interfaces, more } = parseNetDev(texts[at]);
    networks.set(podId, interfaces);
    if (more) cutNetworks.add(podId);
  }
  return { networks, cutNetworks };
}

/** Undefined for one that has none, or whose shim does not answer: the others have their numbers all the same. */
async function findPause(
  parts: RuntimeParts,
  ctx: Ctx,
  podId: string,
): Promise<{ readonly podId: string; readonly pause: Fd } | undefined> {
  using patience = new Deadline(pausePatienceMs, `finding pause of pod ${podId}`, ctx.signal);
  try {
    const pause = await parts.shims.get(podId)?.pauseDirectory(patience.signal);
    return pause?.open ? { podId, pause } : undefined;
  } catch (error) {
    ctx.log.debug({ podId, err: error }, 'cannot find the network of a pod');
    return undefined;
  }
}

async function sampleProcesses(
  parts: RuntimeParts,
  ctx: Ctx,
  containers: WantedStats['processes'],
): Promise<Map<string, ProcessStats>> {
  const found = new Map<string, ProcessStats>();
  const pids = containers.map(({ pid }) => String(pid));
  const limits = await readOfProcesses(parts.addon, pids, { after: '/limits' });
  for (const [at, { id, cgroupPath }] of containers.entries()) {
    const procs = path.join(parts.cgroups.handle(cgroupPath).killDir, 'cgroup.procs');
    try {
      const { open: descriptors, sockets } = await parts.addon.countDescriptors(procs, descriptorLimit);
      const maxOpenFiles = parseMaxOpenFiles(limits[at] ?? '');
      found.set(id, { descriptors, sockets, ...(maxOpenFiles === undefined ? {} : { maxOpenFiles }) });
    } catch (error) {
      // Usually it has just ended.
      ctx.log.debug({ containerId: id, err: error }, 'cannot count the open files of a container');
    }
  }
  return found;
}

/** One file of /proc for many processes, given by their directories below it; "" for those that are gone. */
async function readOfProcesses(
  addon: Pick<Addon, 'readEach'>,
  directories: readonly string[],
  file: Omit<SharedFile, 'before'>,
): Promise<string[]> {
  const texts: string[] = [];
  for (let at = 0; at < directories.length; at += chunk) {
    const some = directories.slice(at, at + chunk);
    const read = await addon.readEach(some, [{ before: '/proc/', ...file }], procLimit);
    texts.push(...read.map((text) => (text === '\x01\0' ? '' : text.slice(0, -1))));
  }
  return texts;
}

const names = new Map<string, string>();
const nameLimit = 256;

/** As RuntimeStats.deviceName; names are remembered, for a disk keeps its own while it is there. */
export function deviceName(major: number, minor: number): string {
  const number = `${major}:${minor}`;
  let name = names.get(number);
  if (name === undefined) {
    if (names.size >= nameLimit) names.clear();
    name = readName(number);
    names.set(number, name);
  }
  return name;
}

function readName(number: string): string {
  try {
    const name = /^DEVNAME=(.+)$/m.exec(readFileSync(`/sys/dev/block/${number}/uevent`, 'utf8'))?.[1];
    return name === undefined ? number : `/dev/${name}`;
  } catch {
    // The device has gone, its numbers are still counted.
    return number;
  }
}
