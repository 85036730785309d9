import { describe, expect, test } from '@jest/globals';
import { resolveUser } from './container-user.ts';
import { securityContext } from './cri-config.fixture.ts';

const accounts = {
  passwd:
    'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/srv/web:/bin/sh\nbroken\nbig:x:99999999999:1::/:/\n4294967296:x:7:7::/:/\n',
  group: 'root:x:0:\nstaff:x:50:web,other\nlast:x:60:web\nbad:x:no:web\n',
};
const resolve = (image: string, context = securityContext()): ReturnType<typeof resolveUser> =>
  resolveUser(context, image, accounts);

describe('who a container runs as', () => {
  test.each([
    ['', 0, 0, '/root'],
    ['web', 1000, 1001, '/srv/web'],
    ['1000', 1000, 1001, '/srv/web'],
    ['1000:50', 1000, 50, '/srv/web'],
    ['web:staff', 1000, 50, '/srv/web'],
    ['1234', 1234, 0, '/'],
    ['1234:1235', 1234, 1235, '/'],
  ])('USER %j of the image', (image, uid, gid, home) => {
    expect(resolve(image)).toMatchObject({ uid, gid, home });
  });

  test('the request wins over the image', () => {
    expect(resolve('web', securityContext({ run_as_user: { value: '0' } })).uid).toBe(0);
    expect(resolve('0', securityContext({ run_as_username: 'web' })).uid).toBe(1000);
    expect(resolve('', securityContext({ run_as_user: { value: '1000' }, run_as_group: { value: '5' } })).gid).toBe(5);
  });

  test('groups of the image are merged unless the policy is Strict (KEP-3619)', () => {
    const groups = { supplemental_groups: ['2000'] };
    expect(resolve('web', securityContext(groups)).additionalGids).toEqual([1001, 2000, 50, 60]);
    expect(resolve('web', securityContext({ ...groups, supplemental_groups_policy: 'Strict' })).additionalGids).toEqual(
      [1001, 2000],
    );
  });

  test('a policy that is none is refused, and not taken for Merge', () => {
    const supplemental_groups_policy = 7 as unknown as 'Merge';
    expect(() => resolve('web', securityContext({ supplemental_groups_policy }))).toThrow(
      'supplemental_groups_policy 7 is not Merge or Strict',
    );
  });

  test.each(['nobody-here', 'web:nogroup', 'a:b:c', 'big'])('%j does not exist', (image) => {
    expect(() => resolve(image)).toThrow();
  });

  test.each(['4294967296', '4294967295', '-1', '99999999999999999999', '0:4294967296'])(
    'number %s out of range is an error, never a name (CVE-2024-40635)',
    (image) => {
      expect(() => resolve(image)).toThrow('is not between 0 and 4294967294');
    },
  );

  test('a group without a user is refused', () => {
    expect(() => resolve('', securityContext({ run_as_group: { value: '5' } }))).toThrow('without run_as_user');
  });

  test('an image without the files: numbers work, root has "/" as home', () => {
    expect(resolveUser(null, '', { passwd: '', group: '' })).toEqual({
      uid: 0,
      gid: 0,
      additionalGids: [0],
      home: '/',
    });
  });
});
