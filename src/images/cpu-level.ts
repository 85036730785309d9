/** What a level of an architecture adds to the one before it, in the words of /proc/cpuinfo. */
type Levels = readonly (readonly [variant: string, needs: readonly string[]])[];

/** The levels of the x86-64 psABI. */
const x86: Levels = [
  ['v1', []],
  ['v2', ['cx16', 'lahf_lm', 'popcnt', 'pni', 'sse4_1', 'sse4_2', 'ssse3']],
  ['v3', ['abm', 'avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'movbe', 'xsave']],
  ['v4', ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl']],
];

/** What of an Armv8 extension a program can use and the kernel tells (elf_hwcaps.rst of Linux). */
const arm8: Levels = [
  ['v8', []],
  ['v8.1', ['atomics', 'asimdrdm', 'crc32']],
  ['v8.2', ['dcpop']],
  ['v8.3', ['fcma', 'jscvt', 'lrcpc', 'paca']],
  ['v8.4', ['asimddp', 'flagm', 'ilrcpc', 'uscat', 'dit']],
  ['v8.5', ['flagm2', 'frint', 'sb', 'dcpodp']],
  ['v8.6', ['i8mm', 'bf16']],
];

/** Armv9.0 is v8.5 with SVE2, and v9.1 is v8.6 with it. */
const arm9: Readonly<Record<string, string>> = { 'v8.5': 'v9', 'v8.6': 'v9.1' };

/**
 * The highest level that every processor of the machine has.
 *
 * @param cpuinfo text of /proc/cpuinfo
 */
export function cpuLevel(architecture: 'amd64' | 'arm64', cpuinfo: string): string {
  const flags = commonFlags(cpuinfo);
  const [levels, none] = architecture === 'amd64' ? ([x86, 'v1'] as const) : ([arm8, 'v8'] as const);
  let reached = none as string;
  for (const [variant, needs] of levels) {
    if (!needs.every((flag) => flags.has(flag))) break;
    reached = variant;
  }
  return flags.has('sve2') ? (arm9[reached] ?? reached) : reached;
}

/** What all "flags" (x86) or "Features" (Arm) lines have; they are the same line for all processors, nearly always. */
function commonFlags(cpuinfo: string): ReadonlySet<string> {
  const lines = new Set([...cpuinfo.matchAll(/^(?:flags|Features)[ \t]*:(.*)$/gm)].map(([, flags = '']) => flags));
  const [first, ...others] = [...lines].map((line) => new Set(line.trim().split(/\s+/)));
  return new Set([...(first ?? [])].filter((flag) => others.every((other) => other.has(flag))));
}
