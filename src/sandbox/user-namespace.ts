import { isDeepStrictEqual } from 'node:util';
import { BerthError } from '#base/errors';
import type { IDMapping__Output } from '#cri-api/gen/runtime/v1/IDMapping';
import type { NamespaceOption__Output } from '#cri-api/gen/runtime/v1/NamespaceOption';
import type { IdRange, UserNamespace } from '#runtime/container-input';
import type { PodNamespaces } from './pod-spec.ts';

/**
 * The users of a pod (KEP-127: `hostUsers: false`); undefined for those of the node.
 *
 * @throws INVALID_ARGUMENT
 */
export function userNamespace(options: NamespaceOption__Output | null): UserNamespace | undefined {
  const users = options?.userns_options;
  if (!users) return undefined;
  switch (users.mode) {
    case 'NODE':
      if (users.uids.length + users.gids.length === 0) return undefined;
      throw new BerthError('INVALID_ARGUMENT', 'user namespace mode NODE takes no id mappings');
    case 'POD':
      return { uids: range(users.uids, 'uid'), gids: range(users.gids, 'gid') };
    default:
      throw new BerthError('INVALID_ARGUMENT', `user namespace mode ${users.mode} is not POD or NODE`);
  }
}

/** One range that begins with root: all that a kubelet asks for, and what an image needs. */
function range(mappings: readonly IDMapping__Output[], kind: string): IdRange {
  const [first, ...others] = mappings;
  if (!first || others.length > 0) {
    throw new BerthError('INVALID_ARGUMENT', `a user namespace takes one ${kind} mapping, not ${mappings.length}`);
  }
  if (first.container_id !== 0) {
    throw new BerthError('INVALID_ARGUMENT', `the ${kind} mapping of a user namespace must begin with container id 0`);
  }
  if (first.length === 0 || first.host_id + first.length > 2 ** 32 - 1) {
    throw new BerthError('INVALID_ARGUMENT', `the ${kind} mapping of a user namespace is empty or too long`);
  }
  return { hostId: first.host_id, length: first.length };
}

/** The kernel gives root of a pod power only over namespaces that are the pod's as well. @throws INVALID_ARGUMENT */
export function checkOwnNamespaces({ network, ipc, pid }: PodNamespaces): void {
  const node = [network === 'node' && 'network', ipc === 'node' && 'ipc', pid === 'node' && 'pid'].filter(Boolean);
  if (node.length === 0) return;
  throw new BerthError(
    'INVALID_ARGUMENT',
    `a pod with a user namespace cannot share the node's ${node.join(' and ')} namespace`,
  );
}

/** A container is one of its pod's users. What it says itself may only be the same. @throws INVALID_ARGUMENT */
export function checkSameUsers(options: NamespaceOption__Output | null, pod: UserNamespace | undefined): void {
  if (!options?.userns_options || isDeepStrictEqual(userNamespace(options), pod)) return;
  throw new BerthError('INVALID_ARGUMENT', "the container's user namespace is not that of its pod");
}

/** Whether a volume's mappings are the pod's: others nobody asks for. @throws INVALID_ARGUMENT */
export function isIdmapped(
  uids: readonly IDMapping__Output[],
  gids: readonly IDMapping__Output[],
  users: UserNamespace | undefined,
  name: string,
): boolean {
  if (uids.length + gids.length === 0) return false;
  const same = (mapping: IdRange, wanted: IdRange | undefined): boolean =>
    mapping.hostId === wanted?.hostId && mapping.length === wanted.length;
  if (same(range(uids, 'uid'), users?.uids) && same(range(gids, 'gid'), users?.gids)) return true;
  throw new BerthError('INVALID_ARGUMENT', `${name}: its id mappings are not those of the pod's user namespace`);
}
