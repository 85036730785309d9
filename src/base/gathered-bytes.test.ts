import { expect, test } from '@jest/globals';
import { GatheredBytes } from './gathered-bytes.ts';

test('what is gathered is what was appended, in its order', () => {
  const gathered = new GatheredBytes();
  const pieces = [0, 1, 1023, 1024, 1025, 5000, 3_000_000, 7].map((size, at) => Buffer.alloc(size, at + 65));
  for (const piece of pieces) gathered.append(piece);
  expect(gathered.toBuffer().equals(Buffer.concat(pieces))).toBe(true);
  expect(gathered.length).toBe(Buffer.concat(pieces).length);
});

test('a piece that its owner writes over later stays as it was', () => {
  const gathered = new GatheredBytes();
  const piece = Buffer.from('before');
  gathered.append(piece);
  piece.fill('x');
  expect(gathered.toBuffer().toString()).toBe('before');
});

test('a hundred thousand pieces of one byte are not held one by one', () => {
  const gathered = new GatheredBytes();
  for (let i = 0; i < 100_000; i++) gathered.append(Buffer.from([i & 0xff]));
  expect(gathered.length).toBe(100_000);
  expect(gathered.blocks).toBeLessThan(10);
});

test('nothing is nothing', () => {
  expect(new GatheredBytes().toBuffer()).toEqual(Buffer.alloc(0));
});

test('what is held is what was allocated, and nothing after it was let go', () => {
  const gathered = new GatheredBytes();
  for (let piece = 0; piece < 100; piece++) gathered.append(Buffer.alloc(50_000));
  expect(gathered.held).toBeGreaterThanOrEqual(5_000_000);
  expect(gathered.held).toBeLessThan(5_000_000 + 1024 * 1024);
  gathered.clear();
  expect([gathered.held, gathered.length, gathered.blocks]).toEqual([0, 0, 0]);
  gathered.append(Buffer.from('again'));
  expect(gathered.toBuffer().toString()).toBe('again');
});
