import { describe, expect, test } from '@jest/globals';
import {
  capabilitiesOf,
  capabilityMask,
  capabilityNames,
  defaultCapabilities,
  resolveCapabilities,
} from './capabilities.ts';

const all = new Set(capabilityNames);
const none = { add: [], drop: [], ambient: [] };

describe('capabilities of a container', () => {
  test('nothing said: the customary set, nothing inheritable (CVE-2022-27650)', () => {
    const { sets } = resolveCapabilities(none, false, all);
    expect([...sets.bounding].sort()).toEqual([...defaultCapabilities].sort());
    expect(sets.inheritable).toEqual([]);
    expect(sets.ambient).toEqual([]);
  });

  test.each([
    ['drop ALL leaves nothing', { ...none, drop: ['ALL'] }, []],
    ['drop ALL and add one leaves that one', { ...none, drop: ['ALL'], add: ['CAP_NET_RAW'] }, ['CAP_NET_RAW']],
    [
      'add ALL and drop one leaves the others',
      { ...none, add: ['ALL'], drop: ['CAP_SYS_ADMIN'] },
      capabilityNames.filter((n) => n !== 'CAP_SYS_ADMIN'),
    ],
    [
      'a capability both added and dropped is dropped',
      { add: ['CAP_CHOWN'], drop: ['ALL', 'CAP_CHOWN'], ambient: [] },
      [],
    ],
  ])('%s', (_what, input, expected) => {
    expect(resolveCapabilities(input, false, all).sets.effective).toEqual(expected);
  });

  test('what berthd does not hold is cut, and said when it was asked for by name', () => {
    const held = new Set(['CAP_CHOWN']);
    const { sets, cut } = resolveCapabilities({ ...none, add: ['CAP_SYS_RESOURCE'] }, false, held);
    expect(sets.bounding).toEqual(['CAP_CHOWN']);
    expect(cut).toEqual(['CAP_SYS_RESOURCE']);
    expect(resolveCapabilities({ ...none, add: ['ALL'] }, false, held).cut).toEqual([]);
  });

  test('ambient capabilities are in all five sets', () => {
    const { sets } = resolveCapabilities({ ...none, drop: ['ALL'], ambient: ['CAP_NET_ADMIN'] }, false, all);
    expect(Object.values(sets)).toEqual(Array(5).fill(['CAP_NET_ADMIN']));
  });

  test('privileged ignores drop', () => {
    expect(resolveCapabilities({ ...none, drop: ['ALL'] }, true, all).sets.bounding).toEqual(capabilityNames);
  });

  test('an unknown name is refused', () => {
    expect(() => resolveCapabilities({ ...none, add: ['CAP_FLY'] }, false, all)).toThrow('unknown capability CAP_FLY');
  });

  test('names and bits agree with capability.h', () => {
    expect(capabilityMask(['CAP_CHOWN', 'CAP_SYS_ADMIN', 'CAP_CHECKPOINT_RESTORE'])).toBe(
      1n | (1n << 21n) | (1n << 40n),
    );
    expect([...capabilitiesOf(1n << 12n)]).toEqual(['CAP_NET_ADMIN']);
  });
});
