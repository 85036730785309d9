import { expect, test } from '@jest/globals';
import { BerthError } from '#base/errors';
import type { Container } from './pod.ts';
import { orItsEnd } from './stream-checks.ts';

/** A container that runs, and ends when told to. */
function running() {
  const exited = Promise.withResolvers<void>();
  const status = { state: 'running', reason: '', exitCode: 0 };
  const end = (): void => {
    Object.assign(status, { state: 'exited', reason: 'Error', exitCode: 3 });
    exited.resolve();
  };
  return { container: { id: 'c', status, exited } as unknown as Container, end };
}

test('a command that fails because its container ends is told of that end, however it was noticed', async () => {
  for (const code of ['SHIM_DIED', 'KERNEL', 'NOT_FOUND'] as const) {
    const { container, end } = running();
    const told = orItsEnd(container, 'exec', Promise.reject(new BerthError(code, 'setns: ESRCH')));
    // Noticed only later: the failure waits for it.
    setImmediate(end);
    await expect(told).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: 'container c is exited (Error, exit code 3): exec needs a running one',
    });
  }
});

test('a failure of a container that goes on is its own', async () => {
  const kernel = new BerthError('KERNEL', 'pipe: ENOMEM');
  await expect(orItsEnd(running().container, 'exec', Promise.reject(kernel))).rejects.toBe(kernel);
  const { container, end } = running();
  end();
  const limit = new BerthError('RESOURCE_EXHAUSTED', 'too many');
  await expect(orItsEnd(container, 'exec', Promise.reject(limit))).rejects.toBe(limit);
  await expect(orItsEnd(container, 'exec', Promise.resolve('out'))).resolves.toBe('out');
});
