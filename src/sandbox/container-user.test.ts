import { describe, expect, test } from '@jest/globals';
import { BerthError } from '#base/errors';
import { type Accounts, resolveUser } from './container-user.ts';
import { securityContext } from './cri-config.fixture.ts';

const passwd =
  'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/srv/web:/bin/sh\nbroken\nbig:x:99999999999:1::/:/\n4294967296:x:7:7::/:/\n';
const group = 'root:x:0:\nstaff:x:50:web,other\nlast:x:60:web\nbad:x:no:web\n';
const files = (passwdText: string, groupText: string): Accounts => ({
  passwd: async () => passwdText,
  group: async () => groupText,
});
const resolve = (image: string, context = securityContext()): ReturnType<typeof resolveUser> =>
  resolveUser(context, image, files(passwd, group));

describe('who a container runs as', () => {
  test.each([
    ['', 0, 0, '/root'],
    ['web', 1000, 1001, '/srv/web'],
    ['1000', 1000, 1001, '/srv/web'],
    ['1000:50', 1000, 50, '/srv/web'],
    ['web:staff', 1000, 50, '/srv/web'],
    ['1234', 1234, 0, '/'],
    ['1234:1235', 1234, 1235, '/'],
  ])('USER %j of the image', async (image, uid, gid, home) => {
    expect(await resolve(image)).toMatchObject({ uid, gid, home });
  });

  test('the request wins over the image', async () => {
    expect((await resolve('web', securityContext({ run_as_user: { value: '0' } }))).uid).toBe(0);
    expect((await resolve('0', securityContext({ run_as_username: 'web' }))).uid).toBe(1000);
    const both = securityContext({ run_as_user: { value: '1000' }, run_as_group: { value: '5' } });
    expect((await resolve('', both)).gid).toBe(5);
  });

  test('groups of the image are merged unless the policy is Strict (KEP-3619)', async () => {
    const groups = { supplemental_groups: ['2000'] };
    const strict = securityContext({ ...groups, supplemental_groups_policy: 'Strict' });
    expect((await resolve('web', securityContext(groups))).additionalGids).toEqual([1001, 2000, 50, 60]);
    expect((await resolve('web', strict)).additionalGids).toEqual([1001, 2000]);
  });

  test('a policy that is none is refused, and not taken for Merge', async () => {
    const supplemental_groups_policy = 7 as unknown as 'Merge';
    await expect(resolve('web', securityContext({ supplemental_groups_policy }))).rejects.toThrow(
      'supplemental_groups_policy 7 is not Merge or Strict',
    );
  });

  test.each(['nobody-here', 'web:nogroup', 'a:b:c', 'big'])('%j does not exist', async (image) => {
    await expect(resolve(image)).rejects.toThrow();
  });

  test.each(['4294967296', '4294967295', '-1', '99999999999999999999', '0:4294967296'])(
    'number %s out of range is an error, never a name (CVE-2024-40635)',
    async (image) => {
      await expect(resolve(image)).rejects.toThrow('is not between 0 and 4294967294');
    },
  );

  test('a group without a user is refused', async () => {
    const groupAlone = securityContext({ run_as_group: { value: '5' } });
    await expect(resolve('', groupAlone)).rejects.toThrow('without run_as_user');
  });

  test('an image without the files: numbers work, root has "/" as home', async () => {
    expect(await resolveUser(null, '', files('', ''))).toEqual({
      uid: 0,
      gid: 0,
      additionalGids: [0],
      home: '/',
    });
  });
});

describe('account files as people leave them', () => {
  const bob = { uid: 1000, gid: 1001, additionalGids: [1001, 50, 60], home: '/home/bob' };
  const lines = ['root:x:0:0::/root:/bin/sh', 'bob:x:1000:1001::/home/bob:/bin/sh'];
  const groups = ['root:x:0:', 'staff:x:50:bob', 'wheel:x:60:root,bob'];
  const written = (end: string, before: readonly string[] = []): Accounts =>
    files([...before, ...lines].join(end), [...before, ...groups].join(end));

  test.each([
    ['without a last newline', written('\n')],
    ['with the line ends of another system', written('\r\n')],
    ['with blank lines and blanks', written(' \n\n\t ')],
    ['with comments', written('\n', ['# bob:x:1:1::/:', '#staff:x:1:bob'])],
    ['with lines of NIS', written('\n', ['+::::::', '+bob', '-mal', '+:::', '+'])],
    ['with lines that are no accounts', written('\n', ['', ':', 'bob', 'bob:x', 'bob:x:no:1', 'bob:x:-1:-1::/:'])],
    ['with an id that no user can have', written('\n', ['bob:x:4294967295:1::/:'])],
    ['with a line of a megabyte', written('\n', [`many:x:70:${'m,'.repeat(500_000)}m`])],
  ])('%s', async (_name, accounts) => {
    expect(await resolveUser(null, 'bob', accounts)).toEqual(bob);
  });

  test('the first account of a name counts', async () => {
    const twice = files('bob:x:7:8::/:\nbob:x:9:9::/:\n', '');
    expect(await resolveUser(null, 'bob', twice)).toMatchObject({ uid: 7, gid: 8 });
  });

  test('a member is a whole name: no part of one, and none across two', async () => {
    const users = 'bob:x:7:8::/:\na,b:x:9:9::/:\n';
    const groups = 'one:x:50:bobby,notbob\ntwo:x:60:a,b\nthree:x:70:x,bob\nfour:x:80:bob,x\nfive:x:90:bob';
    const members = files(users, groups);
    expect((await resolveUser(null, 'bob', members)).additionalGids).toEqual([8, 70, 80, 90]);
    expect((await resolveUser(null, 'a,b', members)).additionalGids).toEqual([9]);
  });

  test('a large file of short lines held up every other call: they go on while it is looked through', async () => {
    const lines = 'x:x:1:1:::\n'.repeat(200_000);
    const large = files(`${lines}bob:x:7:8::/srv:/\n${lines}`, `${lines}staff:x:50:bob\n${lines}`);
    let others = 0;
    const each = setInterval(() => others++, 0);
    const found = await resolveUser(null, 'bob', large);
    clearInterval(each);
    expect(found).toEqual({ uid: 7, gid: 8, additionalGids: [8, 50], home: '/srv' });
    expect(others).toBeGreaterThan(10);
  });

  describe('one of them too large', () => {
    const huge = async (): Promise<string> => {
      throw new BerthError('IMAGE_INVALID', '/etc/group of image sha256:1 is larger than 16777216 bytes');
    };
    const hugeGroup = { passwd: files(lines.join('\n'), '').passwd, group: huge };
    const hugeBoth = { passwd: huge, group: huge };
    const strict = securityContext({ supplemental_groups_policy: 'Strict' });

    test.each([
      ['nobody is named', '', hugeGroup, null, { uid: 0, gid: 0, additionalGids: [0], home: '/root' }, 1],
      ['nobody is named', '', hugeBoth, null, { uid: 0, gid: 0, additionalGids: [0], home: '/' }, 1],
      [
        'user and group are numbers',
        '1000:5',
        hugeBoth,
        null,
        { uid: 1000, gid: 5, additionalGids: [5], home: '/' },
        1,
      ],
      ['the user is in no account', '77', hugeGroup, null, { uid: 77, gid: 0, additionalGids: [0], home: '/' }, 0],
      ['groups are not wanted', 'bob', hugeGroup, strict, { ...bob, additionalGids: [1001] }, 0],
    ])('is not needed where %s', async (_name, image, accounts, context, expected, warnings) => {
      const warned: string[] = [];
      expect(await resolveUser(context, image, accounts, (message) => warned.push(message))).toEqual(expected);
      expect(warned).toHaveLength(warnings);
    });

    test.each([
      ['bob', hugeGroup],
      ['bob:staff', hugeGroup],
      ['1000', hugeGroup],
      ['1000', hugeBoth],
      ['0:staff', hugeBoth],
    ])('is an error for USER %j, which needs it', async (image, accounts) => {
      await expect(resolveUser(null, image, accounts)).rejects.toThrow('is larger than');
    });
  });
});
