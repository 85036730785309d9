import { BerthError, isBerthError } from '#base/errors';
import { shortId } from '#base/ids';
import type { Container__Output } from '#cri-api/gen/runtime/v1/Container';
import type { PodSandbox__Output } from '#cri-api/gen/runtime/v1/PodSandbox';
import type { Session } from './session.ts';
import { age, bytes, table } from './table.ts';

export interface ListOptions {
  readonly all?: boolean;
  readonly output?: string;
}

/** Pods, each with its containers below it. */
export async function listPods(session: Session, options: ListOptions): Promise<void> {
  const { runtime } = session.cri;
  const [{ items }, { containers }, why] = await Promise.all([
    runtime.listPodSandbox({}),
    runtime.listContainers({}),
    reasons(session),
  ]);
  const pods = shownPods(items, containers, options.all === true);
  if (isJson(options)) {
    session.print(JSON.stringify({ pods }, null, 2));
    return;
  }
  const now = Date.now();
  const rows = pods.flatMap((entry) => [
    podRow(entry.pod, why, now),
    ...entry.containers.map((container) => containerRow(container, why, now)),
  ]);
  session.print(table([['ID', 'NAME', 'STATE', 'REASON', 'AGE', 'IMAGE'], ...rows]));
}

/** By the id of a pod or container: what the CRI has no word for in its lists. */
type Reasons = ReadonlyMap<string, string>;

/** What berthd says of its pods, as `GET /pods` has it; one of an earlier version says less. */
export interface PodFacts {
  readonly id: string;
  readonly reason?: string;
  readonly silent?: boolean;
  readonly containers: readonly {
    readonly id: string;
    readonly state: string;
    readonly reason?: string;
    readonly exitCode?: number;
  }[];
}

async function reasons(session: Session): Promise<Reasons> {
  try {
    const { pods } = await session.admin.call('GET', '/pods');
    return reasonsOf(pods as readonly PodFacts[]);
  } catch (error) {
    // The list itself is the CRI's, and may be had alone.
    if (isBerthError(error)) return new Map();
    throw error;
  }
}

/** "StopFailed", "shim does not answer", "OOMKilled (137)". */
export function reasonsOf(pods: readonly PodFacts[]): Reasons {
  return new Map(
    pods.flatMap(({ id, reason = '', silent = false, containers }) => [
      [id, [reason, silent ? 'shim does not answer' : ''].filter(Boolean).join(', ')],
      ...containers.map((one) => [one.id, endOf(one)] as const),
    ]),
  );
}

function endOf({ state, reason = '', exitCode }: PodFacts['containers'][number]): string {
  return state === 'exited' && exitCode !== undefined ? `${reason} (${exitCode})`.trim() : reason;
}

/** Without `all`: what has not ended, and every pod that it is in: one that is not ready may have containers that run. */
export function shownPods<
  P extends Pick<PodSandbox__Output, 'id' | 'state'>,
  C extends Pick<Container__Output, 'pod_sandbox_id' | 'state'>,
>(
  pods: readonly P[],
  containers: readonly C[],
  all: boolean,
): { readonly pod: P; readonly containers: readonly C[] }[] {
  const living = containers.filter(({ state }) => all || state !== 'CONTAINER_EXITED');
  return pods
    .map((pod) => ({ pod, containers: living.filter(({ pod_sandbox_id: of }) => of === pod.id) }))
    .filter(({ pod, containers: inside }) => all || pod.state === 'SANDBOX_READY' || inside.length > 0);
}

function podRow(pod: PodSandbox__Output, why: Reasons, now: number): string[] {
  const name = `${pod.metadata?.namespace ?? ''}/${pod.metadata?.name ?? ''}`;
  const state = word(pod.state, 'SANDBOX_');
  return [shortId(pod.id), name, state, why.get(pod.id) ?? '', age(pod.created_at, now), ''];
}

function containerRow(container: Container__Output, why: Reasons, now: number): string[] {
  const name = `  ${container.metadata?.name ?? ''}`;
  const image = container.image?.user_specified_image || container.image?.image || container.image_ref;
  const { id, created_at } = container;
  const state = word(container.state, 'CONTAINER_');
  return [shortId(id), name, state, why.get(id) ?? '', age(created_at, now), image];
}

export async function listImages(session: Session, options: ListOptions): Promise<void> {
  const { images } = await session.cri.images.listImages({});
  if (isJson(options)) {
    session.print(JSON.stringify({ images }, null, 2));
    return;
  }
  const rows = images.flatMap(({ id, repo_tags, size }) =>
    (repo_tags.length > 0 ? repo_tags : ['<none>']).map((tag) => [
      tag,
      shortId(id.replace(/^sha256:/, '')),
      bytes(Number(size)),
    ]),
  );
  session.print(table([['IMAGE', 'ID', 'SIZE'], ...rows]));
}

function isJson({ output }: ListOptions): boolean {
  if (output === undefined || output === 'table') return false;
  if (output === 'json') return true;
  throw new BerthError('INVALID_ARGUMENT', `--output ${output}: expected "table" or "json"`);
}

/** "SANDBOX_NOTREADY" as "notready". */
function word(state: string, prefix: string): string {
  return state.replace(prefix, '').toLowerCase();
}
