import { BerthError } from '#base/errors';
import type { Container__Output } from '#cri-api/gen/runtime/v1/Container';
import type { PodSandbox__Output } from '#cri-api/gen/runtime/v1/PodSandbox';
import type { CriClient } from '#cri-api/client';

export type Found =
  | { readonly kind: 'pod'; readonly pod: PodSandbox__Output }
  | { readonly kind: 'container'; readonly container: Container__Output };

interface Named {
  readonly id: string;
  readonly metadata: { readonly name: string } | null;
}

/**
 * The pod or container a word means: its id, the beginning of its id, or its name. A container is preferred to a pod of
 * the same name.
 */
export async function findAny(cri: CriClient, word: string): Promise<Found> {
  if (word === '') {
    throw new BerthError('INVALID_ARGUMENT', 'the id or name is empty: berth ps -a lists what is there');
  }
  const [{ containers }, { items }] = await Promise.all([
    cri.runtime.listContainers({}),
    cri.runtime.listPodSandbox({}),
  ]);
  const container = match(containers, word, 'containers');
  if (container) return { kind: 'container', container };
  const pod = match(items, word, 'pods');
  if (pod) return { kind: 'pod', pod };
  throw new BerthError('NOT_FOUND', `no pod or container ${word}: berth ps -a lists what is there`);
}

/** As findAny; a pod stands for its only container. */
export async function findContainer(cri: CriClient, word: string): Promise<Container__Output> {
  const found = await findAny(cri, word);
  if (found.kind === 'container') return found.container;
  const { containers } = await cri.runtime.listContainers({ filter: { pod_sandbox_id: found.pod.id } });
  const [only, second] = containers;
  if (only === undefined) throw new BerthError('NOT_FOUND', `pod ${word} has no container`);
  if (second !== undefined) throw new BerthError('INVALID_ARGUMENT', `pod ${word} has several containers: name one`);
  return only;
}

function match<T extends Named>(all: readonly T[], word: string, what: string): T | undefined {
  const exact = all.find(({ id }) => id === word);
  if (exact) return exact;
  const byName = all.filter(({ metadata }) => metadata?.name === word);
  const candidates =
    byName.length > 0 ? byName : /^[0-9a-f]{3,}$/.test(word) ? all.filter(({ id }) => id.startsWith(word)) : [];
  if (candidates.length > 1) {
    const ids = candidates.map(({ id }) => id.slice(0, 13)).join(', ');
    throw new BerthError('INVALID_ARGUMENT', `${word} means several ${what}: ${ids}; use the id`);
  }
  return candidates[0];
}
