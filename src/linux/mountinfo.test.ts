import { describe, expect, test } from '@jest/globals';

import { parseMountinfo } from './mountinfo.ts';

describe('mountinfo', () => {
  test('a line becomes a mount', () => {
    const line = '36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime shared:7 master:1 - ext3 /dev/root rw,errors=continue';
    expect(parseMountinfo(`${line}\n`)).toEqual([
      {
        id: 36,
        parent: 35,
        device: '98:0',
        root: '/mnt1',
        mountPoint: '/mnt/a b',
        options: ['rw', 'noatime'],
        shared: 7,
        master: 1,
        fsType: 'ext3',
        source: '/dev/root',
        superOptions: ['rw', 'errors=continue'],
      },
    ]);
  });

  test('optional tags may be missing, and a source may look like a separator', () => {
    const [mount] = parseMountinfo('1 2 0:1 / / rw - tmpfs - rw');
    expect(mount).toMatchObject({ fsType: 'tmpfs', source: '-', mountPoint: '/' });
    expect(mount).not.toHaveProperty('shared');
  });

  test('what is no mount is skipped', () => {
    expect(parseMountinfo('\nnonsense\n1 2 3\n')).toEqual([]);
  });
});
