/** What of package-lock.json (version 3) matters here. */
export interface Lock {
  readonly packages: Record<string, LockEntry>;
}

export interface LockEntry {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly [other: string]: unknown;
}

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const processors = ['arm', 'arm64', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64'];

/**
 * Optional packages of other platforms that the lock lacks, by their place in it. npm leaves them out when it cannot
 * reach them, and `npm ci` then refuses its own lock. Only exact versions can be added, and only what the name says is
 * for one platform: nothing is ever fetched for them on another.
 */
export function missingPlatformEntries(lock: Lock): Record<string, LockEntry> {
  const missing: Record<string, LockEntry> = {};
  for (const entry of Object.values(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const place = `node_modules/${name}`;
      if (Object.hasOwn(lock.packages, place) || !/^\d+\.\d+\.\d+/.test(version)) continue;
      const words = name.split(/[^a-z0-9]+/);
      const os = systems.filter((system) => words.includes(system));
      const cpu = processors.filter((processor) => words.includes(processor));
      if (cpu.length === 0) continue;
      missing[place] = {
        version,
        cpu,
        ...(entry.dev === true ? { dev: true } : {}),
        optional: true,
        ...(os.length === 0 ? {} : { os }),
      };
    }
  }
  return missing;
}

/** The lock with them, in npm's order. */
export function completed(lock: Lock): Lock {
  const packages = { ...lock.packages, ...missingPlatformEntries(lock) };
  const places = Object.keys(packages).sort((left, right) => left.localeCompare(right, 'en'));
  return { ...lock, packages: Object.fromEntries(places.map((place) => [place, packages[place] ?? {}])) };
}
