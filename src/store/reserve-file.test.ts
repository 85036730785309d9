import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Write } from './records.ts';
import { ReserveFile } from './reserve-file.ts';

let root: string;
let count = 0;
const fresh = (): string => path.join(root, `reserve-${count++}`);
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'berth-reserve-'));
});
afterAll(() => rm(root, { recursive: true }));

const put = (key: string, value: string): Write => ({ type: 'put', key, value });
const del = (key: string): Write => ({ type: 'del', key });

async function keptIn(file: string, mark: number): Promise<{ kept: readonly Write[]; last: number }> {
  const opened = await ReserveFile.open(file, mark);
  if (!opened) throw new Error('there is no reserve');
  await opened.reserve.close();
  return { kept: opened.kept, last: opened.last };
}

/** The newest of each record. */
function newest(writes: readonly Write[]): Record<string, string | undefined> {
  return Object.fromEntries(writes.map((write) => [write.key, write.type === 'put' ? write.value : undefined]));
}

describe('a reserve', () => {
  test('that is not there is told', async () => {
    expect(await ReserveFile.open(fresh(), 0)).toBeUndefined();
  });

  test('gives what was appended, in order, to who opens it next', async () => {
    const file = fresh();
    const reserve = await ReserveFile.create(file, 65_536);
    await reserve.append(1, [put('a', 'é'), del('b')], false);
    await reserve.append(3, [put('a', '2')], true);
    await reserve.close();
    expect(await keptIn(file, 0)).toEqual({ kept: [put('a', 'é'), del('b'), put('a', '2')], last: 3 });
    expect(await keptIn(file, 1)).toEqual({ kept: [put('a', '2')], last: 3 });
    expect(await keptIn(file, 3)).toEqual({ kept: [], last: 3 });
  });

  test('is empty when everything is written', async () => {
    const file = fresh();
    const reserve = await ReserveFile.create(file, 65_536);
    await reserve.append(1, [put('a', '1')], false);
    await reserve.append(2, [put('b', '1')], false);
    await reserve.written(2);
    expect(await keptIn(file, 0)).toEqual({ kept: [], last: 0 });
    await reserve.append(3, [put('c', '1')], false);
    expect(await keptIn(file, 2)).toEqual({ kept: [put('c', '1')], last: 3 });
    await reserve.close();
  });

  test('takes any number of changes of the records that fit, and refuses one record more', async () => {
    const file = fresh();
    const reserve = await ReserveFile.create(file, 8_192);
    const text = 'x'.repeat(300);
    for (let number = 1; number <= 500; number++) {
      await reserve.append(number, [put(`k${number % 10}`, `${text}${number}`)], false);
    }
    await expect(reserve.append(501, [put('large', 'x'.repeat(3_000))], false)).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      message: expect.stringMatching(/full with 11 records/) as unknown,
    });
    await reserve.append(502, [del('k0')], false);
    await reserve.close();
    const expected = Array.from({ length: 9 }, (_, at) => [`k${at + 1}`, `${text}${491 + at}`] as const);
    expect(newest((await keptIn(file, 0)).kept)).toEqual({ ...Object.fromEntries(expected), k0: undefined });
  });

  test('never grows, so that a full disk takes every append', async () => {
    const file = fresh();
    const reserve = await ReserveFile.create(file, 16_384);
    for (let number = 1; number <= 200; number++)
      await reserve.append(number, [put(`k${number % 7}`, 'x'.repeat(400))], false);
    await reserve.close();
    expect((await readFile(file)).length).toBe(16_384);
  });

  test('is not made where it would take half of what is left', async () => {
    await expect(ReserveFile.create(fresh(), 1e15)).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
  });
});

type Step = { readonly write: Write } | { readonly written: true } | { readonly reopen: true };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      write: fc
        .record({ key: fc.constantFrom('a', 'b', 'c', 'd'), length: fc.integer({ min: 0, max: 700 }) })
        .map(({ key, length }) => (length === 0 ? del(key) : put(key, 'x'.repeat(length) + String(length)))),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ written: true } as const) },
  { weight: 1, arbitrary: fc.constant({ reopen: true } as const) },
);

test('whatever was appended is there after a kill at any byte of the next append, and nothing older', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 40 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (steps, where) => {
        const file = fresh();
        let reserve = await ReserveFile.create(file, 8_192);
        let number = 0;
        let mark = 0;
        const model = new Map<string, string | undefined>();
        const check = async (at: string, ...allowed: object[]): Promise<void> => {
          const { kept } = await keptIn(at, mark);
          expect(allowed).toContainEqual(newest(kept));
        };
        for (const one of steps) {
          if ('written' in one) {
            await reserve.written((mark = number));
            model.clear();
          } else if ('reopen' in one) {
            await reserve.close();
            const opened = await ReserveFile.open(file, mark);
            if (!opened) throw new Error('it is gone');
            ({ reserve } = opened);
          } else {
            await copyFile(file, `${file}.before`);
            const before = Object.fromEntries(model);
            model.set(one.write.key, one.write.type === 'put' ? one.write.value : undefined);
            await reserve.append(++number, [one.write], false);
            await mix(`${file}.before`, file, `${file}.cut`, where);
            await check(`${file}.cut`, before, Object.fromEntries(model));
          }
          await check(file, Object.fromEntries(model));
        }
        await reserve.close();
      },
    ),
    { numRuns: 60 },
  );
}, 60_000);

/** As if the write from one to the other had come to this share of its bytes. */
async function mix(before: string, after: string, cut: string, share: number): Promise<void> {
  const [old, now] = await Promise.all([readFile(before), readFile(after)]);
  const changed = [...now.keys()].filter((at) => now[at] !== old[at]);
  const end = changed[Math.floor(share * (changed.length - 1))] ?? 0;
  await writeFile(cut, Buffer.concat([now.subarray(0, end), old.subarray(end)]));
}
