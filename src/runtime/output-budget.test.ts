import { describe, expect, test } from '@jest/globals';
import type { BerthError } from '#base/errors';
import { OutputBudget, type OutputShare } from './output-budget.ts';

const mebibyte = 1024 * 1024;

/** A budget of 4 MiB beyond 1 KiB of each, and who was ended. */
function budget(): {
  readonly outputs: OutputBudget;
  readonly ended: string[];
  readonly errors: BerthError[];
  open(podId: string, name: string, bytes: number): OutputShare;
} {
  const outputs = new OutputBudget(4 * mebibyte, 1024);
  const ended: string[] = [];
  const errors: BerthError[] = [];
  const open = (podId: string, name: string, bytes: number): OutputShare => {
    const share = outputs.open(podId, (error) => {
      ended.push(name);
      errors.push(error);
    });
    share.holds(bytes);
    return share;
  };
  return { outputs, ended, errors, open };
}

describe('what commands hold together', () => {
  test('is bounded, and the largest of the pod with most goes, with the limit in its error', () => {
    const { outputs, ended, errors, open } = budget();
    open('greedy', 'small', mebibyte);
    open('greedy', 'large', 2 * mebibyte);
    open('other', 'its only', mebibyte);
    expect([ended, outputs.total]).toEqual([[], 4 * mebibyte - 3 * 1024]);
    open('third', 'newcomer', mebibyte / 2);
    expect(ended).toEqual(['large']);
    expect(errors[0]).toMatchObject({ code: 'RESOURCE_EXHAUSTED', message: expect.stringContaining('the 4 MiB that') });
    expect(outputs.total).toBe(2.5 * mebibyte - 3 * 1024);
  });

  test('however many a pod runs, and however small each is, who holds less goes on', () => {
    const { outputs, ended, open } = budget();
    open('honest', 'honest', mebibyte);
    for (let run = 0; run < 1000; run++) open('greedy', `greedy ${run}`, 64 * 1024);
    expect(outputs.total).toBeLessThanOrEqual(4 * mebibyte);
    expect(ended).not.toContain('honest');
    expect(ended.length).toBeGreaterThan(900);
  });

  test('has no place for a few bytes: those are of each, whatever others hold', () => {
    const { outputs, ended, open } = budget();
    open('greedy', 'greedy', 4 * mebibyte + 1024);
    for (let run = 0; run < 1000; run++) open(`pod ${run}`, 'probe', 1024);
    expect([ended, outputs.total]).toEqual([[], 4 * mebibyte]);
  });

  test('may itself be too much', () => {
    const { outputs, ended, open } = budget();
    open('greedy', 'greedy', 5 * mebibyte);
    expect([ended, outputs.total]).toEqual([['greedy'], 0]);
  });

  test('comes back when a command ends, or holds less', () => {
    const { outputs, ended, open } = budget();
    const first = open('a', 'first', 4 * mebibyte);
    const second = open('b', 'second', 512);
    first.holds(mebibyte);
    second.holds(3 * mebibyte);
    first[Symbol.dispose]();
    first.holds(4 * mebibyte);
    second[Symbol.dispose]();
    expect([ended, outputs.total]).toEqual([[], 0]);
  });
});
