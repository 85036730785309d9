import { expect, test } from '@jest/globals';
import { refuseChroot } from './refuse-chroot.ts';

test('a start in a chroot is refused with what to do instead', () => {
  expect(() => refuseChroot({ inChroot: () => true })).toThrow(/started in a chroot.*pivot_root/);
  refuseChroot({ inChroot: () => false });
});
