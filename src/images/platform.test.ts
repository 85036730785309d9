import { describe, expect, it } from '@jest/globals';
import { cpuLevel } from './cpu-level.ts';
import { hostPlatform, rankOf, type Platform } from './platform.ts';
import { parseUntrusted } from './untrusted.ts';

const v1 = 'fpu sse sse2 lm syscall';
const v2 = `${v1} cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3`;
const v3 = `${v2} abm avx avx2 bmi1 bmi2 f16c fma movbe xsave`;
const v4 = `${v3} avx512f avx512bw avx512cd avx512dq avx512vl`;
const arm8 = 'fp asimd evtstrm aes sha2';
const arm82 = `${arm8} crc32 atomics asimdrdm dcpop`;
const arm85 = `${arm82} fcma jscvt lrcpc paca asimddp flagm ilrcpc uscat dit flagm2 frint sb dcpodp`;

const x86 = (...flags: readonly string[]): string =>
  flags.map((line, cpu) => `processor\t: ${cpu}\nmodel name\t: x\nflags\t\t: ${line}\nbugs\t\t: avx\n`).join('\n');
const arm = (...features: readonly string[]): string =>
  features.map((line, cpu) => `processor\t: ${cpu}\nFeatures\t: ${line}\nCPU architecture: 8\n`).join('\n');

describe('the level of the processors', () => {
  it.each([
    ['v1', x86(v1)],
    ['v2', x86(v2)],
    ['v3', x86(v3)],
    ['v4', x86(v4, v4)],
    ['v2', x86(v4, v2)],
    ['v3', x86(v4.replace('avx512cd ', ''))],
    ['v1', x86(v4.replace('popcnt', 'popcnt2'))],
    ['v1', ''],
  ])('of amd64: %s', (level, cpuinfo) => {
    expect(cpuLevel('amd64', cpuinfo)).toBe(level);
  });

  it.each([
    ['v8', arm(arm8)],
    ['v8.2', arm(arm82)],
    ['v8.5', arm(arm85)],
    ['v9', arm(`${arm85} sve sve2`)],
    ['v9.1', arm(`${arm85} i8mm bf16 sve sve2`)],
    ['v8.2', arm(`${arm82} sve2`)],
    ['v8.2', arm(arm85, arm82)],
    ['v8', ''],
  ])('of arm64: %s', (level, cpuinfo) => {
    expect(cpuLevel('arm64', cpuinfo)).toBe(level);
  });

  it('is that of this machine', () => {
    expect(hostPlatform('x64', () => x86(v3))).toEqual({ os: 'linux', architecture: 'amd64', variant: 'v3' });
    expect(hostPlatform('arm64', () => '')).toEqual({ os: 'linux', architecture: 'arm64', variant: 'v8' });
    expect(hostPlatform().variant).toMatch(/^v\d/);
    expect(() => hostPlatform('s390x', () => '')).toThrow('s390x');
  });
});

const amd64 = (variant?: string): Platform => ({ os: 'linux', architecture: 'amd64', ...(variant && { variant }) });
const arm64 = (variant: string): Platform => ({ os: 'linux', architecture: 'arm64', variant });

/** Of "architecture/variant" the ones that fit, the best first. */
function order(platform: Platform, ...named: readonly string[]): readonly string[] {
  const ranked = named.flatMap((name) => {
    const [architecture, variant] = name.split('/');
    const object = parseUntrusted(Buffer.from(JSON.stringify({ os: 'linux', architecture, variant })), name);
    const rank = rankOf(object, platform);
    return rank === undefined ? [] : [{ name, rank }];
  });
  return ranked.sort((one, other) => one.rank - other.rank).map(({ name }) => name);
}

const rankIn = (fields: object, platform = amd64('v3')): number | undefined =>
  rankOf(parseUntrusted(Buffer.from(JSON.stringify(fields)), 'x'), platform);

describe('which of several images runs here', () => {
  const levels = ['amd64/v9', 'amd64/v4', '386', 'amd64', 'amd64/v3', 'amd64/v2'];

  it.each([
    ['v4', ['amd64/v4', 'amd64/v3', 'amd64/v2', 'amd64', '386']],
    ['v3', ['amd64/v3', 'amd64/v2', 'amd64', '386']],
    ['v2', ['amd64/v2', 'amd64', '386']],
    ['v1', ['amd64', '386']],
    [undefined, ['amd64', '386']],
  ])('the best that amd64 %s can do, and never one above it', (variant, expected) => {
    expect(order(amd64(variant), ...levels)).toEqual(expected);
  });

  it.each([
    ['v8', ['arm64', 'arm/v8', 'arm', 'arm/v7', 'arm/v6', 'arm/v5']],
    ['v8.2', ['arm64/v8.2', 'arm64/v8.1', 'arm64', 'arm/v8', 'arm', 'arm/v7', 'arm/v6', 'arm/v5']],
    [
      'v9',
      ['arm64/v9', 'arm64/v8.5', 'arm64/v8.2', 'arm64/v8.1', 'arm64', 'arm/v8', 'arm', 'arm/v7', 'arm/v6', 'arm/v5'],
    ],
  ])('the best that arm64 %s can do', (variant, expected) => {
    const all = ['arm/v5', 'arm/v6', 'arm/v8', 'arm', 'arm/v7', 'arm64', 'arm64/v8.1', 'arm64/v8.2', 'arm64/v8.5'];
    expect(order(arm64(variant), ...all, 'arm64/v9', 'arm64/v9.1', 'arm/v4', 'amd64')).toEqual(expected);
  });

  it.each([
    [
      { os: 'linux', architecture: 'x86_64' },
      { os: 'linux', architecture: 'amd64', variant: 'v1' },
    ],
    [{ OS: 'Linux', Architecture: 'AMD64' }, { architecture: 'amd64' }],
    [
      { os: 'linux', architecture: 'amd64', 'os.version': '10.0' },
      { os: 'linux', architecture: 'x86-64' },
    ],
  ])('other spellings of the same: %j and %j', (one, other) => {
    expect(rankIn(one)).toBe(rankIn(other));
    expect(rankIn(one)).toBeDefined();
  });

  it.each([
    { os: 'windows', architecture: 'amd64' },
    { os: 'unknown', architecture: 'unknown' },
    { os: 'linux', architecture: 'amd64', variant: 'toString' },
    { os: 'linux', architecture: 'constructor' },
    { os: 'linux' },
    { os: 'linux', architecture: 'amd64', 'os.features': ['x'] },
    { os: 'linux', architecture: 'arm64' },
    { os: 'linux', architecture: 'mips64le' },
  ])('not %j', (fields) => {
    expect(rankIn(fields)).toBeUndefined();
  });

  it('what names no platform, after all that do', () => {
    expect(rankOf(undefined, amd64('v3'))).toBeGreaterThan(rankIn({ architecture: '386' })!);
    expect(rankIn({ architecture: 'aarch64', variant: '8' }, arm64('v8'))).toBe(0);
    expect(rankIn({ architecture: 'armhf' }, arm64('v8'))).toBe(
      rankIn({ architecture: 'arm', variant: '7' }, arm64('v8')),
    );
  });
});
