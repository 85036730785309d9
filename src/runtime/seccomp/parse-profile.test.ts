import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { OciSeccomp } from '#runtime/spec/oci';
import { parseSeccompProfile, settleProfile, type ParsedProfile } from './parse-profile.ts';
import {
  profileActions,
  profileArchitectures,
  profileFields,
  profileFlags,
  profileOperators,
} from './profile-fields.ts';
import { filterFlags, toSeccompInput } from './resolve.ts';

const machine = { arch: 'x64', release: '6.1.0-18-amd64' };
const deny = { names: ['mkdir'], action: 'SCMP_ACT_ERRNO' };
const text = (changes: object): string => JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', ...changes });
const parse = (changes: object): ParsedProfile => parseSeccompProfile(text(changes), machine);

/** What a container with these capabilities gets. */
function settled(changes: object, ...caps: string[]): OciSeccomp {
  const { profile, unknown } = parse(changes);
  if (!profile) throw new Error('the profile says nothing');
  expect(unknown).toEqual([]);
  return settleProfile(profile, new Set(caps));
}
const rule = (changes: object, ...caps: string[]): OciSeccomp['syscalls'] =>
  settled({ syscalls: [{ ...deny, ...changes }] }, ...caps).syscalls;
const argument = (changes: object): OciSeccomp['syscalls'][number]['args'][number] | undefined =>
  rule({ args: [{ op: 'SCMP_CMP_EQ', ...changes }] })[0]?.args[0];
const refusal = (changes: object): string => {
  try {
    parse(changes);
  } catch (error) {
    return (error as Error).message;
  }
  return 'taken';
};
const refusalOfRule = (changes: object): string => refusal({ syscalls: [{ ...deny, ...changes }] });

// A row for each field of the table: a field without one does not compile.
const rows: Record<keyof typeof profileFields, () => void> = {
  defaultAction: () => expect(settled({ defaultAction: 'SCMP_ACT_LOG' }).defaultAction).toBe('SCMP_ACT_LOG'),
  defaultErrnoRet: () => expect(settled({ defaultErrnoRet: 38 }).defaultErrnoRet).toBe(38),
  defaultErrno: () => expect(settled({ defaultErrno: 'ENOSYS', defaultErrnoRet: 1 }).defaultErrnoRet).toBe(38),
  architectures: () => {
    const architectures = ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'];
    expect(settled({ architectures }).architectures).toEqual(architectures);
    expect(refusal({ architectures: ['SCMP_ARCH_DANCE'] })).toBe(
      'architectures: architecture "SCMP_ARCH_DANCE" is unknown',
    );
    expect(refusal({ architectures: ['x86_64'] })).toContain('"x86_64" is unknown');
  },
  archMap: () => {
    const archMap = [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: null }];
    expect(settled({ archMap }).architectures).toEqual(['SCMP_ARCH_X86_64']);
    expect(settled({ archMap: [{ architecture: 'SCMP_ARCH_S390X' }] }).architectures).toEqual([]);
    expect(refusal({ archMap, architectures: ['SCMP_ARCH_X86'] })).toBe('architectures and archMap are both set');
  },
  'archMap[].architecture': () => {
    const archMap = [
      { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
      { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
    ];
    expect(settled({ archMap }).architectures).toEqual(['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
    expect(refusal({ archMap: [{}] })).toBe('archMap[0]: architecture "" is unknown');
  },
  'archMap[].subArchitectures': () =>
    expect(refusal({ archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['x'] }] })).toBe(
      'archMap[0]: architecture "x" is unknown',
    ),
  flags: () => {
    expect(settled({ flags: ['SECCOMP_FILTER_FLAG_LOG'] }).flags).toEqual(['SECCOMP_FILTER_FLAG_LOG']);
    expect(settled({ flags: [] }).flags).toEqual([]);
    for (const flags of [undefined, null]) expect(settled({ flags }).flags).toEqual(['SECCOMP_FILTER_FLAG_SPEC_ALLOW']);
  },
  listenerPath: () => {
    expect(settled({ listenerPath: '/run/agent' })).toEqual(settled({}));
    expect(refusal({ listenerPath: 1 })).toBe('listenerPath is not a string');
  },
  listenerMetadata: () => expect(settled({ listenerMetadata: 'm' })).toEqual(settled({})),
  syscalls: () => {
    expect(settled({ syscalls: null }).syscalls).toEqual([]);
    expect(settled({ syscalls: [deny] }).syscalls).toEqual([{ ...deny, args: [] }]);
    expect(refusal({ syscalls: [null] })).toBe('syscalls[0] is not an object');
  },
  'syscalls[].names': () => {
    expect(rule({ names: ['a', 'b'] })[0]?.names).toEqual(['a', 'b']);
    expect(rule({ names: null })[0]?.names).toEqual([]);
    expect(refusalOfRule({ names: [''] })).toBe('syscalls[0].names: "" is no system call');
    expect(refusalOfRule({ names: ['a', 'mkdir\0'] })).toBe('syscalls[0].names: "mkdir\\u0000" is no system call');
  },
  'syscalls[].name': () => {
    expect(rule({ names: undefined, name: 'chmod' })[0]?.names).toEqual(['chmod']);
    expect(refusalOfRule({ name: 'chmod' })).toBe('syscalls[0]: name and names are both set');
  },
  'syscalls[].action': () => {
    expect(rule({ action: 'SCMP_ACT_TRAP' })[0]?.action).toBe('SCMP_ACT_TRAP');
    expect(refusalOfRule({ action: undefined })).toBe('syscalls[0].action: "" is unknown');
  },
  'syscalls[].errnoRet': () => {
    expect(rule({ errnoRet: 38 })[0]?.errnoRet).toBe(38);
    expect(rule({ errnoRet: null })[0]).not.toHaveProperty('errnoRet');
    // As everybody cuts it.
    expect(rule({ errnoRet: 65_541 })[0]?.errnoRet).toBe(5);
    expect(refusalOfRule({ errnoRet: 4096 })).toBe('syscalls[0].errnoRet 4096 is no errno');
    expect(refusalOfRule({ errnoRet: -1 })).toBe('syscalls[0].errnoRet is not a whole number');
  },
  'syscalls[].errno': () => {
    expect(rule({ errno: 'ENOSYS' })[0]?.errnoRet).toBe(38);
    expect(refusalOfRule({ errno: 'EDANCE' })).toBe('syscalls[0].errno: "EDANCE" is no errno');
  },
  'syscalls[].args': () => {
    expect(rule({ args: null })[0]?.args).toEqual([]);
    expect(rule({ args: [{ op: 'SCMP_CMP_EQ' }, { index: 1, op: 'SCMP_CMP_NE' }] })[0]?.args).toHaveLength(2);
    expect(refusalOfRule({ args: [null] })).toBe('syscalls[0].args[0] is not an object');
  },
  'syscalls[].args[].index': () => {
    expect(argument({ index: 5 })?.index).toBe(5);
    expect(refusalOfRule({ args: [{ index: 6 }] })).toBe('syscalls[0].args[0].index is 6, at most 5 is possible');
  },
  'syscalls[].args[].value': () => {
    const profile = text({ syscalls: [{ ...deny, args: [{ op: 'SCMP_CMP_EQ' }] }] });
    const value = (number: string): unknown =>
      parseSeccompProfile(profile.replace('"op"', `"value":${number},"op"`)).profile?.syscalls[0]?.args[0]?.value;
    expect(value('18446744073709551615')).toBe(2n ** 64n - 1n);
    expect(() => value('18446744073709551616')).toThrow('at most 18446744073709551615 is possible');
    for (const none of ['1.0', '1e3', '"1"', '-1']) expect(() => value(none)).toThrow('value is not a whole number');
  },
  'syscalls[].args[].valueTwo': () => expect(argument({ valueTwo: 7 })?.valueTwo).toBe(7n),
  'syscalls[].args[].op': () => {
    expect(argument({ op: 'SCMP_CMP_MASKED_EQ' })?.op).toBe('SCMP_CMP_MASKED_EQ');
    expect(refusalOfRule({ args: [{ op: 'SCMP_CMP_DANCE' }] })).toBe(
      'syscalls[0].args[0].op: "SCMP_CMP_DANCE" is unknown',
    );
    expect(refusalOfRule({ args: [{ value: 1 }] })).toBe('syscalls[0].args[0].op: "" is unknown');
  },
  'syscalls[].comment': () => expect(rule({ comment: 'why' })).toEqual(rule({})),
  'syscalls[].includes': () => {
    expect(rule({ includes: {} })).toHaveLength(1);
    expect(rule({ includes: null })).toHaveLength(1);
    expect(rule({ includes: { caps: ['CAP_BPF'], arches: ['s390'] } }, 'CAP_BPF')).toEqual([]);
  },
  'syscalls[].includes.caps': () => {
    const includes = { caps: ['CAP_BPF', 'CAP_PERFMON'] };
    expect(rule({ includes }, 'CAP_BPF')).toEqual([]);
    // What is left is the rule alone: a profile of the specification.
    expect(rule({ includes }, 'CAP_BPF', 'CAP_PERFMON')).toEqual(rule({}));
  },
  'syscalls[].includes.arches': () => {
    expect(rule({ includes: { arches: ['amd64', 'x32'] } })).toHaveLength(1);
    expect(rule({ includes: { arches: ['arm64'] } })).toEqual([]);
  },
  'syscalls[].includes.minKernel': () => {
    for (const minKernel of ['4.8', '6.1', '6.1.0']) expect(rule({ includes: { minKernel } })).toHaveLength(1);
    for (const minKernel of ['6.2', '6.10', '7.0']) expect(rule({ includes: { minKernel } })).toEqual([]);
    for (const minKernel of ['new', '6']) {
      expect(refusalOfRule({ includes: { minKernel } })).toBe(
        `syscalls[0].includes.minKernel: "${minKernel}" is not like 4.8`,
      );
    }
  },
  'syscalls[].excludes': () => {
    expect(rule({ excludes: {} })).toHaveLength(1);
    expect(rule({ excludes: { caps: ['CAP_BPF'], arches: ['s390'] } }, 'CAP_BPF')).toEqual([]);
  },
  'syscalls[].excludes.caps': () => {
    const excludes = { caps: ['CAP_BPF', 'CAP_PERFMON'] };
    expect(rule({ excludes }, 'CAP_PERFMON')).toEqual([]);
    expect(rule({ excludes })).toEqual(rule({}));
  },
  'syscalls[].excludes.arches': () => {
    expect(rule({ excludes: { arches: ['amd64'] } })).toEqual([]);
    expect(rule({ excludes: { arches: ['s390'] } })).toHaveLength(1);
  },
  'syscalls[].excludes.minKernel': () => {
    expect(rule({ excludes: { minKernel: '4.8' } })).toEqual([]);
    expect(rule({ excludes: { minKernel: '6.2' } })).toHaveLength(1);
  },
};

describe('no field of a seccomp profile ends nowhere', () => {
  test.each(Object.keys(profileFields) as (keyof typeof profileFields)[])('%s', (field) => rows[field]());
});

test('the page for people has every field and every word, with what becomes of it', () => {
  const page = readFileSync(new URL('../../../docs/profiles.md', import.meta.url), 'utf8');
  const all = { ...profileFields, ...profileFlags, ...profileActions, ...profileOperators };
  const missing = Object.entries(all)
    .map(([name, { is, what }]) => `| \`${name}\` | ${is} | ${what} |`)
    .filter((line) => !page.includes(line));
  expect(missing).toEqual([]);
});

describe('words of a profile', () => {
  test.each(Object.entries(profileActions))('action %s', (action, { is }) => {
    const message = refusal({ defaultAction: action });
    if (is === 'refused') expect(message).toContain(`defaultAction: ${action} is not supported`);
    else expect(() => toSeccompInput(settled({ defaultAction: action }))).not.toThrow();
  });

  test.each(Object.entries(profileFlags))('flag %s', (flag, { is }) => {
    const message = refusal({ flags: [flag] });
    if (is === 'refused') expect(message).toContain(`flags[0]: ${flag} is not supported`);
    else expect(filterFlags(settled({ flags: [flag] })) === 0).toBe(is === 'no meaning');
  });

  test.each(Object.keys(profileOperators))('operator %s', (op) => {
    expect(() => toSeccompInput(settled({ syscalls: [{ ...deny, args: [{ op }] }] }))).not.toThrow();
  });

  test.each([...profileArchitectures])('architecture %s', (name) => {
    expect(settled({ architectures: [name] }).architectures).toEqual([name]);
  });

  test.each(['SECCOMP_FILTER_FLAG_DANCE', '', 'toString'])('flag %j is refused by name', (flag) => {
    expect(refusal({ flags: [flag] })).toBe(`flags[0]: ${JSON.stringify(flag)} is unknown`);
  });

  test('flags have the kernel’s numbers', () => {
    const flags = ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_TSYNC', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW'];
    expect(filterFlags(settled({ flags }))).toBe(2 | 4);
  });
});

describe('a profile as Go reads it', () => {
  test('one that says nothing is no filter', () => {
    for (const nothing of ['{}', '{"syscalls":null,"flags":["SECCOMP_FILTER_FLAG_LOG"]}']) {
      expect(parseSeccompProfile(nothing, machine).profile).toBeUndefined();
    }
  });

  test('rules without a default action are a mistake', () => {
    expect(refusal({ defaultAction: undefined, syscalls: [deny] })).toBe('defaultAction: "" is unknown');
  });

  test('the case of letters does not matter', () => {
    const profile = '{"DefaultAction":"SCMP_ACT_ALLOW","SYSCALLS":[{"NAMES":["mkdir"],"Action":"SCMP_ACT_ERRNO"}]}';
    expect(parseSeccompProfile(profile, machine)).toEqual(parse({ syscalls: [deny] }));
  });

  test('unknown fields are taken and told, a bounded number of them', () => {
    const { unknown } = parse({
      zzz: 1,
      constructor: 1,
      syscalls: [
        { ...deny, why: '' },
        { ...deny, why: '' },
      ],
    });
    expect(unknown).toEqual(['zzz', 'constructor', 'syscalls[].why']);
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`f${at}`, at]));
    expect(parse(many).unknown).toHaveLength(16);
    expect(parse({ ['x'.repeat(500)]: 1 }).unknown[0]).toHaveLength(64);
  });

  test('all unknown fields are counted, and those of entries of archMap told as well', () => {
    const rule = { ...deny, why: '', args: [{ index: 0, value: 1, op: 'SCMP_CMP_EQ', why: '' }], includes: { os: [] } };
    const archMap = [{ architecture: 'SCMP_ARCH_X86_64', note: '' }];
    const found = parse({ zzz: 1, architectures: undefined, archMap, syscalls: [rule, rule] });
    expect(found).toMatchObject({ unknownCount: 8 });
    expect(found.unknown).toContain('archMap[].note');
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`f${at}`, at]));
    expect(parse(many).unknownCount).toBe(1000);
    expect(parse({ syscalls: [{ ...deny, comment: 'for people' }] }).unknownCount).toBe(0);
    expect(parseSeccompProfile('{"zzz":1}', machine)).toEqual({
      profile: undefined,
      unknown: ['zzz'],
      unknownCount: 1,
    });
  });

  test.each(['[1]', 'null', '"x"', ''])('%j is no profile', (profile) => {
    expect(() => parseSeccompProfile(profile, machine)).toThrow();
  });
});
