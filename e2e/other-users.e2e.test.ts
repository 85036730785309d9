import { chmodSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { ownUsers, shell, TestPod } from './harness/pods.ts';

// What containers write lies on the node, set-uid programs of their roots among it (CVE-2021-41103): no user of the node
// but root gets at it.

// With users of their own the pod's files are nobody's inside.
const plant =
  'for f in /etc/hosts /etc/hostname /etc/resolv.conf /planted; do cat /bin/busybox >$f && chmod 4777 $f; done 2>/dev/null';

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  for (const config of [{}, ownUsers]) {
    const pod = await TestPod.run(berthd, config);
    const container = await pod.start(shell(`${plant}; sleep 1000`));
    await container.sh('until [ -u /planted ]; do sleep 0.05; done');
  }
});
afterAll(() => berthd.teardown());

/** Lists below berthd's directories, as root, what the test finds with the eyes of an ordinary user who knows every path. */
async function found(type: string, condition: string): Promise<string[]> {
  const eyes = 'setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs';
  const look = `for f do if ${condition}; then echo "$f"; fi; done`;
  const line = `find "$1" "$2" ${type} -print0 | xargs -0 ${eyes} sh -c '${look}' sh`;
  const { code, stdout, stderr } = await berthd.node.run(['sh', '-ec', line, 'sh', berthd.root, berthd.run]);
  if (code !== 0) throw new Error(`looking for ${condition} ended with ${code}\n${stderr}`);
  return stdout.split('\n').filter((name) => name !== '');
}

const canOpen = '[ -r "$f" ] || [ -w "$f" ] || [ -x "$f" ]';

test('no file that berthd or a container has written can be read, written or run by another user', async () => {
  const files = '! -type d ! -type l';
  expect(await found(files, canOpen)).toEqual([]);
  expect(await found('-type d', '[ -r "$f" ] || [ -w "$f" ]')).toEqual([]);
});

test('what a container makes of the pod’s files is run by nobody, in the container neither', async () => {
  for (const config of [{}, ownUsers]) {
    const pod = await TestPod.run(berthd, config);
    for (const place of ['hosts', 'hostname', 'resolv.conf']) {
      const line = `cat /bin/busybox >/etc/${place} && chmod 4755 /etc/${place}; /etc/${place} true`;
      const said = await pod.sh(
        `${config === ownUsers ? `/etc/${place}` : line} 2>&1; echo $?; grep " /etc/${place} " /proc/mounts`,
      );
      expect(said).toMatch(/Permission denied\n126\n/);
      expect(said.split('\n').at(-2)?.split(' ')[3]?.split(',')).toEqual(
        expect.arrayContaining(['nosuid', 'nodev', 'noexec']),
      );
    }
    await pod.remove();
  }
});

test('the search sees what lies open', async () => {
  const { mode } = statSync(berthd.root);
  const pods = path.join(berthd.root, 'pods');
  const { stdout } = await berthd.node.run(['sh', '-c', `ls -d ${pods}/*`]);
  const places = [berthd.root, pods, ...stdout.trim().split('\n')];
  for (const place of places) chmodSync(place, 0o711);
  const open = await found('-type f', canOpen);
  for (const place of places) chmodSync(place, 0o700);
  chmodSync(berthd.root, mode & 0o7777);
  expect(open.filter((name) => name.endsWith('/hosts'))).toHaveLength(2);
  expect(open.filter((name) => (statSync(name).mode & 0o4001) === 0o4001)).toHaveLength(3);
});
