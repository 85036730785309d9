import { expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { FileOperation, FileResult } from '#linux/addon';
import { throwWhy } from './out-of-memory.ts';

const unlimited = '9223372036854771712\n';

function files(contents: Readonly<Record<string, string>>) {
  const read = (operation: FileOperation): FileResult => {
    const data = contents[(operation as { path: string }).path];
    return data === undefined ? { error: 'ENOENT' } : { data };
  };
  return { batch: async (operations: readonly FileOperation[]) => operations.map(read) };
}

const killed = new BerthError('KERNEL', 'the setup process was killed', { details: { errno: 'EPIPE' } });
const why = async (contents: Readonly<Record<string, string>>, oomFile: string, error: unknown = killed) =>
  throwWhy(createCtx(), files(contents), 'c1', { oomFile }, error).catch((thrown: unknown) => thrown);

test('a limit too low to set a container up once said only that somebody was killed', async () => {
  const v1 = {
    '/m/kube/pod/c1/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
    '/m/kube/pod/c1/memory.limit_in_bytes': '4096\n',
    '/m/kube/pod/memory.limit_in_bytes': '8192\n',
    '/m/memory.limit_in_bytes': unlimited,
  };
  expect(await why(v1, '/m/kube/pod/c1/memory.oom_control')).toMatchObject({
    code: 'RESOURCE_EXHAUSTED',
    message: 'create container c1: container init was OOM-killed (memory limit too low?): 4096 bytes at /m/kube/pod/c1',
  });
});

test('the limit may be that of the pod, or one above', async () => {
  const v2 = {
    '/c/kube/pod/c1/memory.events': 'low 0\noom 1\noom_kill 1\n',
    '/c/kube/pod/c1/memory.max': 'max\n',
    '/c/kube/pod/memory.max': '1048576\n',
    '/c/kube/memory.max': '2097152\n',
  };
  expect(await why(v2, '/c/kube/pod/c1/memory.events')).toMatchObject({ message: /1048576 bytes at \/c\/kube\/pod$/ });
  const machine = { '/c/kube/pod/c1/memory.events': 'oom_kill 1\n' };
  expect(await why(machine, '/c/kube/pod/c1/memory.events')).toMatchObject({ message: /there is none, the machine/ });
});

test.each([
  [
    'nobody was killed for memory',
    { '/c/memory.events': 'oom_kill 0\n', '/c/memory.max': '4096\n' },
    '/c/memory.events',
  ],
  ['the kernel does not count', {}, ''],
])('another failure stays what it was: %s', async (_what, contents, oomFile) => {
  expect(await why(contents as Record<string, string>, oomFile)).toBe(killed);
  const other = new BerthError('KERNEL', 'no', { details: { errno: 'EIO' } });
  expect(await why({ '/c/memory.events': 'oom_kill 1\n' }, '/c/memory.events', other)).toBe(other);
});
