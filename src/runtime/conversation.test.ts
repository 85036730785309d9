import { describe, expect, test } from '@jest/globals';
import { BerthError } from '#base/errors';
import { killExec, requireFeature, resizeTerminal } from './conversation.ts';
import type { Request } from './shim/gen/berth/shim/Request.ts';
import type { PodShim } from './shim/pod-shim.ts';

/** A shim that knows these features and remembers what it was told. */
function shimWith(features: readonly string[], answer: () => Promise<object> = async () => ({ done: {} })) {
  const asked: Request[] = [];
  const call = (request: Request): Promise<object> => {
    asked.push(request);
    return answer();
  };
  return { shim: { podId: 'pod', features: new Set(features), call } as unknown as PodShim, asked };
}

describe('what an older shim lacks', () => {
  test('is said by name', () => {
    expect(() => requireFeature(shimWith(['exec']).shim, 'attach', 'attach to container c')).toThrow(
      new BerthError(
        'FAILED_PRECONDITION',
        'attach to container c: the pod\'s shim is older than berthd and lacks "attach"; make the pod anew',
      ),
    );
    expect(() => requireFeature(shimWith(['exec']).shim, 'exec', 'exec')).not.toThrow();
  });

  test('is not asked for: a size that cannot be set is no error', async () => {
    const { shim, asked } = shimWith(['exec']);
    await resizeTerminal(shim, { exec_id: 'x' }, { columns: 80, rows: 24 });
    expect(asked).toEqual([]);
  });
});

describe('words to a shim that nobody waits for', () => {
  test('a size is kept within what a terminal can have', async () => {
    const { shim, asked } = shimWith(['resize']);
    for (const size of [
      { columns: 0, rows: 24 },
      { columns: 80, rows: -1 },
      { columns: 1e9, rows: 24.7 },
    ]) {
      await resizeTerminal(shim, { container_id: 'c' }, size);
    }
    expect(asked).toEqual([{ resize_tty: { container_id: 'c', columns: 65_535, rows: 24 } }]);
  });

  test('a process that is gone is no error, a bug is', async () => {
    const gone = shimWith(['resize'], () => Promise.reject(new BerthError('NOT_FOUND', 'no such exec')));
    await killExec(gone.shim, 'x');
    expect(gone.asked).toEqual([{ kill_exec: { exec_id: 'x' } }]);
    const broken = shimWith([], () => Promise.reject(new TypeError('bug')));
    await expect(killExec(broken.shim, 'x')).rejects.toThrow('bug');
  });
});
