import { readdir } from 'node:fs/promises';
import { errnoOf, toBerthError } from '#base/errors';
import type { SandboxParts } from './parts.ts';
import type { Container, Pod } from './pod.ts';
import { createFailed } from './states.ts';

/** Whose removal happened, but could not be written before berthd was killed. */
export interface CutRemovals {
  readonly pods: readonly Pod[];
  readonly containers: readonly Container[];
}

/**
 * A removal takes the writable layer, or the pod's files, after the processes and before the record: a record of this boot
 * without them is one that a full disk kept. Asked before anything is written: that moves a record to this boot.
 */
export async function findCutRemovals(parts: SandboxParts): Promise<CutRemovals> {
  const { pods, containers } = parts.pods.collections;
  const [layers, files] = await Promise.all([names(parts.containersDirectory), names(parts.podsDirectory)]);
  const ofThisBoot = (records: typeof pods | typeof containers, id: string): boolean =>
    records.bootId(id) === parts.bootId;
  return {
    pods: parts.pods
      .allPods()
      .filter(({ id, status }) => ofThisBoot(pods, id) && !files.has(id) && status.reason !== createFailed),
    containers: parts.pods.allContainers().filter(({ id }) => ofThisBoot(containers, id) && !layers.has(id)),
  };
}

async function names(directory: string): Promise<ReadonlySet<string>> {
  try {
    return new Set(await readdir(directory));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return new Set();
    throw toBerthError(error, `read ${directory}`);
  }
}
