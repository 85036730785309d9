import { BerthError } from '#base/errors';
import type { DeviceRule } from '#runtime/spec/oci';

// struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor }, access_type being access << 16 | type.
const accessBits: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };
const typeCodes = { b: 1, c: 2 } as const;

// Opcodes: class, size or operation, source.
const loadWord = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const moveRegister = 0xbf; // BPF_ALU64 | BPF_MOV | BPF_X
const moveNumber = 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K
const andNumber = 0x57; // BPF_ALU64 | BPF_AND | BPF_K
const shiftRight = 0x77; // BPF_ALU64 | BPF_RSH | BPF_K
const jumpUnequal = 0x55; // BPF_JMP | BPF_JNE | BPF_K
const jumpEqual = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const exit = 0x95;

const result = 0;
const context = 1;
const type = 2;
const wanted = 3;
const major = 4;
const minor = 5;

interface Instruction {
  readonly code: number;
  readonly to: number;
  readonly from?: number;
  readonly offset?: number;
  readonly number?: number;
}

/**
 * Device rules as a program for BPF_CGROUP_DEVICE, with the meaning they have on v1: the last rule about a device and a
 * kind of access wins. So the rules are judged from last to first, and `wanted` holds the kinds of access that no rule
 * has allowed yet. What no rule mentions is refused.
 *
 *     wanted := access
 *     for each rule that matches:  allow: wanted −= rule's; nothing left → 1.   deny: wanted ∩ rule's → 0
 *     → 0
 */
export function deviceProgram(rules: readonly DeviceRule[]): Uint8Array {
  const program: Instruction[] = [
    { code: loadWord, to: type, from: context, offset: 0 },
    { code: moveRegister, to: wanted, from: type },
    { code: andNumber, to: type, number: 0xffff },
    { code: shiftRight, to: wanted, number: 16 },
    { code: loadWord, to: major, from: context, offset: 4 },
    { code: loadWord, to: minor, from: context, offset: 8 },
  ];
  for (const rule of rules.toReversed()) {
    checkDeviceRule(rule);
    program.push(...ruleInstructions(rule));
    // It decides about everything: earlier rules are never reached.
    if (rule.type === 'a') return encode([...program, ...answer(rule.allow ? 1 : 0)]);
  }
  return encode([...program, ...answer(0)]);
}

function checkDeviceRule(rule: DeviceRule): void {
  const fits = (value: number | undefined, bits: number): boolean =>
    value === undefined || (Number.isInteger(value) && value >= 0 && value < 2 ** bits);
  const numbered = rule.major !== undefined || rule.minor !== undefined;
  const valid = /^[rwm]{1,3}$/.test(rule.access) && fits(rule.major, 12) && fits(rule.minor, 20);
  if (!valid || (rule.type === 'a' && numbered)) {
    throw new BerthError('INVALID_ARGUMENT', `invalid device rule ${JSON.stringify(rule)}`);
  }
}

function ruleInstructions(rule: DeviceRule): Instruction[] {
  // On v1 a rule for all types means every access, whatever it says.
  if (rule.type === 'a') return [];
  const mask = rule.access.split('').reduce((bits, letter) => bits | (accessBits[letter] ?? 0), 0);
  const verdict: Instruction[] = rule.allow
    ? [
        { code: andNumber, to: wanted, number: 7 & ~mask },
        { code: jumpUnequal, to: wanted, number: 0, offset: 2 },
        ...answer(1),
      ]
    : [
        { code: moveRegister, to: result, from: wanted },
        { code: andNumber, to: result, number: mask },
        { code: jumpEqual, to: result, number: 0, offset: 2 },
        ...answer(0),
      ];
  const tests: { register: number; number: number }[] = [{ register: type, number: typeCodes[rule.type] }];
  if (rule.major !== undefined) tests.push({ register: major, number: rule.major });
  if (rule.minor !== undefined) tests.push({ register: minor, number: rule.minor });
  // A test that fails jumps over the tests after it and the verdict.
  const skips = tests.map(({ register, number }, index) => ({
    code: jumpUnequal,
    to: register,
    number,
    offset: tests.length - 1 - index + verdict.length,
  }));
  return [...skips, ...verdict];
}

function answer(value: 0 | 1): Instruction[] {
  return [
    { code: moveNumber, to: result, number: value },
    { code: exit, to: 0 },
  ];
}

/** struct bpf_insn, little-endian as every machine Berth runs on. */
function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(({ code, to, from = 0, offset = 0, number = 0 }, index) => {
    bytes.writeUInt8(code, index * 8);
    bytes.writeUInt8((from << 4) | to, index * 8 + 1);
    bytes.writeInt16LE(offset, index * 8 + 2);
    bytes.writeInt32LE(number, index * 8 + 4);
  });
  return bytes;
}
