import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Level } from 'level';
import { findLogDamage } from './level-log.ts';

/** Numbers from 0 to 1, the same in every run. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

describe('the log of LevelDB', () => {
  let root: string;
  /** Short records, and some that cross blocks. */
  let log: Buffer;

  beforeAll(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'berth-log-'));
    const level = new Level(root);
    for (let at = 0; at < 60; at++) await level.put(`key-${at}`, 'x'.repeat(at % 20 === 0 ? 50_000 : 300 + at));
    await level.close();
    const [name = ''] = (await readdir(root)).filter((each) => each.endsWith('.log'));
    log = await readFile(path.join(root, name));
    expect(log.length).toBeGreaterThan(150_000);
  });
  afterAll(() => rm(root, { recursive: true }));

  const with_ = (change: (bytes: Buffer) => unknown): Buffer => {
    const copy = Buffer.from(log);
    change(copy);
    return copy;
  };

  it('is whole as it was written, and when it is empty', () => {
    expect(findLogDamage(log)).toBeUndefined();
    expect(findLogDamage(Buffer.alloc(0))).toBeUndefined();
  });

  it('is not damaged by a writer who was killed, at whatever byte', () => {
    const random = numbers(1000 + 1);
    const ends = Array.from({ length: 300 }, () => Math.floor(random() * log.length));
    // And around the border of a block, where records are split.
    for (let end = 32_750; end < 32_800; end++) ends.push(end);
    for (const end of ends) expect([end, findLogDamage(log.subarray(0, end))]).toEqual([end, undefined]);
  });

  it('is not damaged where pages at its end were never written', () => {
    for (const from of [0, 4096, 32_768, 40_960, log.length - 400]) {
      expect([from, findLogDamage(with_((bytes) => bytes.fill(0, from)))]).toEqual([from, undefined]);
    }
    expect(findLogDamage(Buffer.concat([log, Buffer.alloc(70_000)]))).toBeUndefined();
  });

  it('is damaged where bytes in it have changed, whatever they were', () => {
    const random = numbers(1000 + 2);
    for (let round = 0; round < 100; round++) {
      const at = Math.floor(random() * (log.length - 700));
      const damaged = with_((bytes) => (bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8))));
      // What is left of a block that has no room for a header means nothing.
      if (at % 32_768 < 32_761) expect([at, findLogDamage(damaged)]).toEqual([at, expect.any(Number)]);
    }
  });

  it('is damaged where a part of it was zeroed or overwritten, also when nothing readable follows', () => {
    const noise = (bytes: Buffer, from: number, to: number): void => {
      const random = numbers(1000 + 3);
      for (let at = from; at < to; at++) bytes[at] = Math.floor(random() * 256);
    };
    expect(findLogDamage(with_((bytes) => bytes.fill(0, 60_000, 61_000)))).toBeLessThanOrEqual(60_000);
    expect(findLogDamage(with_((bytes) => noise(bytes, 0, 1024)))).toBe(0);
    expect(findLogDamage(with_((bytes) => noise(bytes, 200, 300)))).toBe(0);
    expect(findLogDamage(with_((bytes) => noise(bytes, 0, bytes.length)))).toBe(0);
    expect(findLogDamage(with_((bytes) => noise(bytes, bytes.length - 300, bytes.length)))).toBeGreaterThan(100_000);
  });

  it('is damaged in its last block where a header says that it was cut short, and it was not', () => {
    const starts: number[] = [];
    for (let at = log.length - (log.length % 32_768); at < log.length; at += 7 + log.readUInt16LE(at + 4))
      starts.push(at);
    const [before = 0, last = 0] = starts.slice(-2);
    const left = 32_768 - (before % 32_768);
    // A length that goes beyond the end of the file, and another record behind it.
    expect(findLogDamage(with_((bytes) => bytes.writeUInt16LE(left - 7, before + 4)))).toBe(before);
    // Nothing behind it, but no writer begins like this.
    for (const [length, type] of [
      [left - 7, 9],
      [left - 7, 3],
      [65_535, 1],
    ] as const) {
      const damaged = with_((bytes) => (bytes.writeUInt16LE(length, last + 4), bytes.writeUInt8(type, last + 6)));
      expect([length, type, findLogDamage(damaged)]).toEqual([length, type, last]);
    }
  });

  it('is damaged where the end of a batch is gone from its middle', () => {
    // Block 1 in the place of block 2: whole records that do not belong together.
    expect(findLogDamage(Buffer.concat([log.subarray(32_768, 65_536), log.subarray(65_536)]))).toBe(0);
  });
});
