import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { shell, TestPod } from './harness/pods.ts';

let berthd: Berthd;
let pod: TestPod;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pod = await TestPod.run(berthd);
});
afterAll(() => berthd.teardown());

const ids = 'grep -E "^(Uid|Gid|Groups):" /proc/self/status | tr "\\t" " "';
const as = (security_context: object) => ({ linux: { security_context } });

describe('users', () => {
  test('by number, with that number’s group or root’s', async () => {
    expect(await pod.sh(ids, as({ run_as_user: { value: '4321' } }))).toMatch(/^Uid: 4321 .*\nGid: 0 /);
  });

  test('by number and group', async () => {
    const text = await pod.sh(ids, as({ run_as_user: { value: '4321' }, run_as_group: { value: '1234' } }));
    expect(text).toMatch(/^Uid: 4321 .*\nGid: 1234 /);
  });

  test('by a name of the image', async () => {
    expect(await pod.sh('id -un', as({ run_as_username: 'nobody' }))).toBe('nobody\n');
  });

  test('supplementary groups are added', async () => {
    const text = await pod.sh(ids, as({ run_as_user: { value: '1' }, supplemental_groups: ['5001', '5002'] }));
    expect(/^Groups: (.*)$/m.exec(text)?.[1]?.trim().split(' ')).toEqual(expect.arrayContaining(['5001', '5002']));
  });

  test('the policy Strict leaves out the groups of the image', async () => {
    const strict = { run_as_user: { value: '0' }, supplemental_groups: ['5001'], supplemental_groups_policy: 'Strict' };
    const text = await pod.sh(ids, as(strict));
    expect(new Set(/^Groups: (.*)$/m.exec(text)?.[1]?.trim().split(' '))).toEqual(new Set(['0', '5001']));
  });

  test('the status tells who runs', async () => {
    const container = await pod.start(
      shell('sleep 1000', as({ run_as_user: { value: '4321' }, run_as_group: { value: '1234' } })),
    );
    expect((await container.status()).user?.linux).toMatchObject({ uid: '4321', gid: '1234' });
    await container.remove();
  });

  test('a user who is not there is refused by name', async () => {
    await expect(pod.create(shell('true', as({ run_as_username: 'no-such-user' })))).rejects.toThrow('no-such-user');
  });

  test('exec runs as the container’s user', async () => {
    const container = await pod.start(shell('sleep 1000', as({ run_as_user: { value: '4321' } })));
    expect(await container.sh('id -u')).toBe('4321\n');
    await container.remove();
  });

  test('both a number and a name are refused', async () => {
    const both = as({ run_as_user: { value: '1' }, run_as_username: 'nobody' });
    const outcome = await pod.create(shell('true', both)).then(
      async (container) => {
        await container.remove();
        return 'accepted';
      },
      (error: unknown) => String(error),
    );
    // The number wins or the request is refused; a silent mixture would be wrong.
    expect(outcome).toMatch(/accepted|INVALID_ARGUMENT/);
  });
});
