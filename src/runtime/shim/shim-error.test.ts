import { constants } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import type { Error__Output } from './gen/berth/shim/Error.ts';
import { fromShimError } from './shim-error.ts';

const { EACCES, ENAMETOOLONG, ENOENT } = constants.errno;
const fault = (errno: number): Error__Output => ({ kind: 'KERNEL', step: 'apparmor', path: 'web', errno, message: '' });

describe('an AppArmor profile', () => {
  test('that is not loaded is the node owner’s matter, and no file that is missing', () => {
    expect(fromShimError(fault(ENOENT), 'create container c')).toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: 'create container c: apparmor: web: this profile is not loaded on the node (ENOENT)',
    });
  });

  test('whose name would be cut is no profile', () => {
    expect(fromShimError(fault(ENAMETOOLONG), 'create container c')).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('that the kernel does not let us take is the kernel’s', () => {
    expect(fromShimError(fault(EACCES), 'create container c').code).toBe('KERNEL');
  });
});
