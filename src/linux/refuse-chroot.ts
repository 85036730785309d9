import { BerthError } from '#base/errors';
import type { Addon } from './addon.ts';

/**
 * Fails in a chroot: what a pod is made of is opened by processes that enter mount namespaces, whose root is another
 * directory than ours then. A root that was changed by pivot_root(2) is none.
 */
export function refuseChroot(addon: Pick<Addon, 'inChroot'>): void {
  if (!addon.inChroot()) return;
  throw new BerthError(
    'FAILED_PRECONDITION',
    'berthd was started in a chroot, and would look for its files in another root than its pods: ' +
      'start it outside, or in a mount namespace whose root was changed by pivot_root (systemd-nspawn, unshare and pivot_root)',
  );
}
