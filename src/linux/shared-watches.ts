import { getSystemErrorName } from 'node:util';
import type { Addon } from './addon.ts';

interface Warns {
  warn(fields: object, message: string): void;
}

/** Says what it means that berthd's loops have no watches of their own: see native/common/apart_epoll.h. */
export function warnOfSharedWatches(addon: Pick<Addon, 'epollRefusal'>, log: Warns): void {
  const refusal = addon.epollRefusal();
  if (refusal === 0) return;
  const why =
    refusal < 0
      ? 'not started by deploy/berthd, or its berth_preload.so could not be loaded'
      : `${getSystemErrorName(-refusal)}: is CAP_SETUID missing?`;
  log.warn(
    { why },
    'berthd shares fs.epoll.max_user_watches with every container whose root is the node’s: ' +
      'one that uses them up ends berthd at its next connection',
  );
}
