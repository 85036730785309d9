import { expect, test } from '@jest/globals';
import { Listeners } from './listeners.ts';

test('every listener hears, also when one fails', () => {
  const errors: unknown[] = [];
  const heard: string[] = [];
  const listeners = new Listeners<string>((error) => errors.push(error));
  listeners.add(() => {
    throw new Error('mine');
  });
  listeners.add((value) => heard.push(value));
  listeners.emit('exit');
  expect(heard).toEqual(['exit']);
  expect(errors).toEqual([new Error('mine')]);
});

test('a disposed listener hears nothing more', () => {
  const heard: number[] = [];
  const listeners = new Listeners<number>(() => undefined);
  const leave = listeners.add((value) => heard.push(value));
  listeners.emit(1);
  leave[Symbol.dispose]();
  listeners.emit(2);
  expect(heard).toEqual([1]);
});
