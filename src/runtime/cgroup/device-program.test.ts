import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import type { DeviceRule } from '#runtime/spec/oci';

import { deviceProgram } from './device-program.ts';

interface Access {
  readonly type: 'b' | 'c';
  readonly major: number;
  readonly minor: number;
  readonly access: string;
}

/** The few eBPF instructions the generator uses. */
function run(bytes: Uint8Array, { type, major, minor, access }: Access): number {
  const code = Buffer.from(bytes);
  const bits = access.split('').reduce((sum, letter) => sum | { m: 1, r: 2, w: 4 }[letter]!, 0);
  const context = [(bits << 16) | (type === 'b' ? 1 : 2), major, minor];
  const registers: number[] = new Array<number>(11).fill(0);
  for (let at = 0; at < code.length / 8; at++) {
    const operation = code.readUInt8(at * 8);
    const to = code.readUInt8(at * 8 + 1) & 15;
    const from = code.readUInt8(at * 8 + 1) >> 4;
    const offset = code.readInt16LE(at * 8 + 2);
    const number = code.readInt32LE(at * 8 + 4);
    const value = registers[to]!;
    if (operation === 0x61) registers[to] = context[offset / 4]!;
    else if (operation === 0xbf) registers[to] = registers[from]!;
    else if (operation === 0xb7) registers[to] = number;
    else if (operation === 0x57) registers[to] = value & number;
    else if (operation === 0x77) registers[to] = value >>> number;
    else if (operation === 0x55) at += value === number ? 0 : offset;
    else if (operation === 0x15) at += value === number ? offset : 0;
    else if (operation === 0x95) return registers[0]!;
    else throw new Error(`unknown instruction ${operation}`);
  }
  throw new Error('the program ran off its end');
}

/** What the rules mean: for each kind of access the last rule that speaks of the device decides. */
function meaning(rules: readonly DeviceRule[], { type, major, minor, access }: Access): number {
  const allowed = access.split('').every((letter) => {
    const last = rules.findLast(
      (rule) =>
        rule.type === 'a' ||
        (rule.type === type &&
          (rule.major ?? major) === major &&
          (rule.minor ?? minor) === minor &&
          rule.access.includes(letter)),
    );
    return last?.allow ?? false;
  });
  return allowed ? 1 : 0;
}

const denyAll: DeviceRule = { allow: false, type: 'a', access: 'rwm' };
const allow = (type: 'b' | 'c', major: number, minor: number, access: string): DeviceRule => ({
  allow: true,
  type,
  major,
  minor,
  access,
});

describe('device program', () => {
  test('only listed devices may be used, for the listed kinds of access', () => {
    const program = deviceProgram([denyAll, allow('c', 1, 3, 'rw')]);
    expect(run(program, { type: 'c', major: 1, minor: 3, access: 'rw' })).toBe(1);
    expect(run(program, { type: 'c', major: 1, minor: 3, access: 'm' })).toBe(0);
    expect(run(program, { type: 'b', major: 1, minor: 3, access: 'r' })).toBe(0);
    expect(run(program, { type: 'c', major: 1, minor: 5, access: 'r' })).toBe(0);
  });

  test('two rules may allow one access together', () => {
    const program = deviceProgram([denyAll, allow('c', 1, 3, 'r'), allow('c', 1, 3, 'w')]);
    expect(run(program, { type: 'c', major: 1, minor: 3, access: 'rw' })).toBe(1);
  });

  test('no rule at all refuses everything, a privileged container’s rule allows it', () => {
    expect(run(deviceProgram([]), { type: 'c', major: 1, minor: 3, access: 'r' })).toBe(0);
    const all = deviceProgram([denyAll, { allow: true, type: 'a', access: 'rwm' }]);
    expect(run(all, { type: 'b', major: 8, minor: 0, access: 'rwm' })).toBe(1);
  });

  test('any list of rules means what it means on v1', () => {
    const access = fc.constantFrom('r', 'w', 'm', 'rw', 'rm', 'wm', 'rwm');
    const number = fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined });
    const rule = fc.oneof(
      { weight: 1, arbitrary: fc.record({ allow: fc.boolean(), type: fc.constant('a' as const), access }) },
      {
        weight: 8,
        arbitrary: fc
          .record({
            allow: fc.boolean(),
            type: fc.constantFrom('b' as const, 'c' as const),
            access,
            major: number,
            minor: number,
          })
          .map(({ major, minor, ...rest }): DeviceRule => ({
            ...rest,
            ...(major === undefined ? {} : { major }),
            ...(minor === undefined ? {} : { minor }),
          })),
      },
    );
    const wanted = fc.record({
      type: fc.constantFrom('b' as const, 'c' as const),
      major: fc.integer({ min: 0, max: 2 }),
      minor: fc.integer({ min: 0, max: 2 }),
      access,
    });
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 8 }), wanted, (rules, one) => {
        expect(run(deviceProgram(rules), one)).toBe(meaning(rules, one));
      }),
    );
  });

  test.each([
    { allow: true, type: 'c', access: 'x' },
    { allow: true, type: 'c', access: '' },
    { allow: true, type: 'c', major: -1, access: 'r' },
    { allow: true, type: 'c', minor: 2 ** 20, access: 'r' },
    { allow: true, type: 'a', major: 1, access: 'rwm' },
  ] as const)('%j is refused', (rule) => {
    expect(() => deviceProgram([rule])).toThrow(/invalid device rule/);
  });
});
