import { accessSync, constants, statfsSync, statSync } from 'node:fs';
import path from 'node:path';
import { BerthError, errnoOf, messageOf } from '#base/errors';
import { makeDirectories } from '#base/make-directories';

// Where berthd keeps its state: what can be known of the two directories before anything is made in them.

type Places = Readonly<Record<'root' | 'run', string>>;

/** Names that berthd gives itself in each of them: the other one must not lie there. */
const ownNames = {
  root: ['db', 'reserve', 'blobs', 'layers', 'containers', 'tmp'],
  run: ['pods'],
} as const;

/** Of file systems that hold what the kernel shows, f_type of statfs(2). */
const kernelFileSystems = new Map([
  [0x9fa0, 'proc'],
  [0x62656572, 'sysfs'],
  [0x27e0eb, 'cgroup'],
  [0x63677270, 'cgroup2'],
  [0x64626720, 'debugfs'],
  [0x73636673, 'securityfs'],
]);

/** @throws CONFIG_INVALID */
export function refuseSharedPlaces({ root, run }: Places): void {
  if (root === run) {
    throw new BerthError(
      'CONFIG_INVALID',
      `root and run are both ${root}: a reboot clears run only, so give it another`,
    );
  }
  for (const [key, outer, other, inner] of [
    ['root', root, 'run', run],
    ['run', run, 'root', root],
  ] as const) {
    const taken = ownNames[key].find((name) => `${inner}/`.startsWith(`${path.join(outer, name)}/`));
    if (taken === undefined) continue;
    const message = `${other} = "${inner}" lies where berthd keeps its own ${taken} (below ${key} = "${outer}"): name another place`;
    throw new BerthError('CONFIG_INVALID', message);
  }
}

/** Changes nothing, and needs no rights. @throws CONFIG_INVALID naming the key, the path and what is wrong with it */
export function checkStatePlaces(places: Places): void {
  for (const key of ['root', 'run'] as const) {
    const why = whyUnfit(places[key]);
    if (why !== undefined) throw unfit(key, places[key], why);
  }
}

/** @throws CONFIG_INVALID likewise; RESOURCE_EXHAUSTED on a full disk */
export async function makeStatePlaces(places: Places): Promise<void> {
  checkStatePlaces(places);
  for (const key of ['root', 'run'] as const) {
    try {
      await makeDirectories(places[key], 0o700);
    } catch (error) {
      if (/^(ENOSPC|EDQUOT)$/.test(errnoOf(error) ?? '')) {
        const message = `${key} = "${places[key]}" cannot be made: ${messageOf(error)}: make room there`;
        throw new BerthError('RESOURCE_EXHAUSTED', message, { cause: error });
      }
      throw unfit(key, places[key], messageOf(error), error);
    }
  }
}

function unfit(key: string, place: string, why: string, cause?: unknown): BerthError {
  return new BerthError('CONFIG_INVALID', `${key} = "${place}" cannot be used: ${why}; name another directory`, {
    cause,
  });
}

/** What speaks against the nearest directory that is there. */
function whyUnfit(place: string): string | undefined {
  for (let at = place; ; at = path.dirname(at)) {
    try {
      if (!statSync(at).isDirectory()) return `${at} is not a directory`;
      const kind = kernelFileSystems.get(statfsSync(at).type);
      if (kind !== undefined) return `${at} is on a file system of the kernel's (${kind}), which keeps no files`;
      accessSync(at, constants.W_OK);
      return undefined;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'EROFS') return `${at} is on a read-only file system`;
      // Whoever asks may be nobody who could write there; a link that leads nowhere is found when it is made.
      if ((errno !== 'ENOENT' && errno !== 'ENOTDIR') || at === path.dirname(at)) return undefined;
    }
  }
}
