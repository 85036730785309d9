import { readdirSync } from 'node:fs';
import type { Addon, SharedFile } from '#linux/addon';
import type { CgroupStats, StatsFormat } from './stats.ts';

/** Groups read in one trip: others who want the thread wait for a few milliseconds at most. */
const chunk = 64;
/** The longest is cgroup.procs of a group with very many processes. */
const fileLimit = 256 * 1024;
const unreadable = '\x01';

/**
 * Reads the numbers of many groups. One that is gone is not in the answer; a file that cannot be read makes only its own
 * numbers missing.
 *
 * @param rootOf where a controller's groups are; undefined when there is none
 */
export async function sampleGroups(
  addon: Pick<Addon, 'readEach'>,
  format: StatsFormat,
  rootOf: (controller: string) => string | undefined,
  groups: readonly string[],
  detail: boolean,
): Promise<Map<string, CgroupStats>> {
  const files: SharedFile[] = [];
  const places = new Map<string, number>();
  for (const file of format.files) {
    const root = rootOf(file.controller);
    if (root === undefined || (file.detail && !detail)) continue;
    places.set(file.name, files.length);
    files.push({ before: root, after: `/${file.name}` });
  }
  const found = new Map<string, CgroupStats>();
  for (let at = 0; at < groups.length; at += chunk) {
    const some = groups.slice(at, at + chunk);
    const texts = await addon.readEach(some, files, fileLimit);
    for (const [index, group] of some.entries()) {
      const contents = (texts[index] ?? '').split('\0');
      const stats = format.parse((name) => contentOf(contents, places.get(name)));
      if (stats.cpu || stats.memory || stats.pids) found.set(group, stats);
    }
  }
  return found;
}

function contentOf(contents: readonly string[], place: number | undefined): string {
  const content = place === undefined ? '' : (contents[place] ?? '');
  return content === unreadable ? '' : content;
}

/** Sizes of huge pages this machine has, as the controller names them: "2MB", "1GB". */
export function hugepageSizes(directory = '/sys/kernel/mm/hugepages'): string[] {
  try {
    return readdirSync(directory).flatMap((name) => {
      const kilobytes = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1]);
      return Number.isSafeInteger(kilobytes) ? [sizeName(kilobytes)] : [];
    });
  } catch {
    // A kernel without huge pages.
    return [];
  }
}

function sizeName(kilobytes: number): string {
  const units = ['KB', 'MB', 'GB'];
  let size = kilobytes;
  let unit = 0;
  while (size >= 1024 && size % 1024 === 0 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${size}${units[unit]}`;
}
