/** One line of /proc/<pid>/mountinfo. */
export interface Mount {
  readonly id: number;
  readonly parent: number;
  /** major:minor */
  readonly device: string;
  /** What of the file system is mounted: "/" for all of it. */
  readonly root: string;
  readonly mountPoint: string;
  readonly options: readonly string[];
  /** Peer group others see our mounts in, or undefined. */
  readonly shared?: number;
  readonly master?: number;
  readonly fsType: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** Parses the whole file. Lines it cannot understand are skipped: the kernel may add to them. */
export function parseMountinfo(text: string): readonly Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const mount = parseLine(line);
    if (mount) mounts.push(mount);
  }
  return mounts;
}

function parseLine(line: string): Mount | undefined {
  const separator = line.indexOf(' - ');
  if (separator < 0) return undefined;
  const [id, parent, device, root, mountPoint, options, ...tags] = line.slice(0, separator).split(' ');
  const [fsType, source, superOptions] = line.slice(separator + 3).split(' ');
  if (mountPoint === undefined || root === undefined || fsType === undefined) return undefined;
  const shared = tagNumber(tags, 'shared:');
  const master = tagNumber(tags, 'master:');
  return {
    id: Number(id),
    parent: Number(parent),
    device: device ?? '',
    root: unescapeField(root),
    mountPoint: unescapeField(mountPoint),
    options: (options ?? '').split(','),
    ...(shared === undefined ? {} : { shared }),
    ...(master === undefined ? {} : { master }),
    fsType,
    source: unescapeField(source ?? ''),
    superOptions: (superOptions ?? '').split(','),
  };
}

function tagNumber(tags: readonly string[], prefix: string): number | undefined {
  const tag = tags.find((one) => one.startsWith(prefix));
  return tag === undefined ? undefined : Number(tag.slice(prefix.length));
}

/** The kernel writes space, tab, newline and backslash as three octal digits. */
function unescapeField(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_all, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}
