import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { parseConfig } from '#images/config';
import { imageFieldDocs } from './docs.ts';
import { imageFields, partsOf, withValue, type ImageField } from './fields.ts';
import { ImageUnderTest } from './image-under-test.fixture.ts';
import { imageTelling, nameOf, type ToldImageField } from './rows.ts';
import { imageFieldTests } from './tests.fixture.ts';

let images: ImageUnderTest;
beforeAll(async () => {
  images = await ImageUnderTest.start();
});
afterEach(() => {
  images.changed = undefined;
});
afterAll(() => images[Symbol.asyncDispose]());

const named = (is: ToldImageField['row']['is']) =>
  imageTelling.told.filter(({ row }) => row.is === is).map((field) => [nameOf(field), field] as const);

test('every field of every document has one row, and every row has a field', () => {
  expect(imageTelling.mistakes).toEqual([]);
  expect(imageTelling.told).toHaveLength(imageFields.length);
});

test('docs/image-fields.md is made of the table', () => {
  const file = path.join(path.dirname(path.dirname(import.meta.dirname)), 'docs/image-fields.md');
  expect(readFileSync(file, 'utf8')).toBe(imageFieldDocs());
});

test('fields with dots in their names are taken away as such', () => {
  const field: ImageField = { document: 'index', path: 'manifests[].platform.os.version' };
  expect(partsOf(field)).toEqual(['manifests[]', 'platform', 'os.version']);
  const document = { manifests: [{ platform: { os: 'a', 'os.version': 'b' } }, {}] };
  expect(withValue(document, field, undefined)).toEqual({ manifests: [{ platform: { os: 'a' } }, {}] });
});

describe('what is done', () => {
  const testOf = ({ row }: ToldImageField): string => (row.is === 'done' ? row.test : '');

  test('has every test that a row names, and a row names every test', () => {
    expect(new Set(named('done').map(([, field]) => testOf(field)))).toEqual(new Set(Object.keys(imageFieldTests)));
  });

  test.each(Object.entries(imageFieldTests))('passes: %s', async (_name, run) => {
    await run(images);
  });

  test.each(named('done'))('fails without %s', async (_name, field) => {
    images.changed = { field, value: undefined };
    await expect(imageFieldTests[testOf(field)]?.(images)).rejects.toThrow();
  });
});

describe('what is refused', () => {
  test.each(named('refused'))('%s', async (_name, field) => {
    const { row } = field;
    if (row.is !== 'refused') throw new Error('only what is refused');
    images.changed = { field, value: row.value };
    await expect(images.pull(whole())).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining(row.says) as unknown,
    });
    images.changed = { field, value: null };
    await expect(images.pull(whole())).resolves.toBeDefined();
  });
});

describe('what has no meaning is accepted and changes nothing; only what nobody knows is counted', () => {
  const values = ['text', 7, true, null, [], ['x'], {}, { x: 1 }];

  test.each([...named('none'), ['config unknown', { document: 'config', path: 'unknown' }] as const])(
    '%s',
    async (name, field) => {
      const before = await seen();
      for (const value of values) {
        images.changed = { field, value };
        expect(await seen()).toEqual({ ...before, unknown: name === 'config unknown' ? 1 : 0 });
      }
    },
  );

  async function seen(): Promise<object> {
    const { config: bytes, layers, unknownFields } = await images.pull(whole());
    const { unknownFields: inConfig, ...config } = parseConfig(bytes, '');
    return { layers, config, unknown: inConfig + unknownFields.manifest + unknownFields.index };
  }
});

/** An index with one image. */
function whole(): ReturnType<ImageUnderTest['index']> {
  const platform = { os: 'linux', architecture: 'amd64' };
  return images.index([{ ...images.image({ config: { config: { Cmd: ['sh'] } } }), platform }]);
}
