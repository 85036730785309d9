import { expect, test } from '@jest/globals';
import { BerthError } from '#base/errors';
import { tellFullDisks } from './disk-note.ts';

const full = (): string => '4.1 kB of 25.1 MB are free on the file system of /var/lib/berth';
const told = (message: string, details = {}, disks = full): string =>
  tellFullDisks(new BerthError('RESOURCE_EXHAUSTED', message, { details }), disks).message;

test('a failure for want of room says which disk, how much is free, and what to do', () => {
  expect(told('mkdir /x', { errno: 'ENOSPC' })).toBe(
    'mkdir /x; 4.1 kB of 25.1 MB are free on the file system of /var/lib/berth: make room there, or remove images and pods; ' +
      'what runs goes on, and can be stopped and removed',
  );
});

test('what is said already is not said again', () => {
  expect(told('write x: No space left on device: make room there')).toBe(
    `write x: No space left on device: make room there; ${full()}`,
  );
  const figures = `write x: No space left on device (${full()})`;
  expect(told(figures)).toMatch(/^write x: .*berth\); make room there, or/);
  expect(told(`${figures}: make room there`)).toBe(`${figures}: make room there`);
});

test('other failures, and a disk that is none of ours, stay as they are', () => {
  expect(told('too many exec streams')).toBe('too many exec streams');
  expect(told('write /volume/x: ENOSPC', {}, () => '')).toBe('write /volume/x: ENOSPC');
  const other = new BerthError('KERNEL', 'x: ENOSPC');
  expect(tellFullDisks(other, full)).toBe(other);
});
