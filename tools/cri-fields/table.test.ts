import { readFileSync } from 'node:fs';
import path from 'node:path';
import type * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CriUnderTest } from './cri-under-test.fixture.ts';
import { askedOf, podAsked } from './plan.fixture.ts';
import protobuf from 'protobufjs';
import { loadCriProto } from '#server/cri-proto';
import { unimplemented } from '#server/unimplemented';
import { fieldDocs } from './docs.ts';
import { requestFields, type RequestField } from './request-fields.ts';
import { withField, withoutField } from './requests.ts';
import { alternatives, done, noMeaning, tell } from '../field-rows/row.ts';
import { nameOf, telling, type ToldField } from './table.ts';
import { validRequests, type ValidRequests } from './valid-requests.fixture.ts';

// What fields.test.ts does not show of the table: it is whole, what is refused is refused, what has no meaning is accepted
// and changes nothing, and so do values that nobody knows.

let cri: CriUnderTest;
let valid: ValidRequests;
beforeAll(async () => {
  cri = await CriUnderTest.start();
  valid = await validRequests(cri);
});
afterAll(() => cri[Symbol.asyncDispose]());

const named = (fields: readonly ToldField[]) => fields.map((field) => [`${field.call} ${field.path}`, field] as const);
const rowsThatAre = (is: ToldField['row']['is']) => named(telling.told.filter(({ row }) => row.is === is));

/** The call with this field set to that value. */
async function send({ call, path }: RequestField, value: unknown): Promise<object> {
  return cri.call(call, withField(valid.of(call), { path }, value));
}

test('every field of every request has one row, and every row has a field', () => {
  expect(telling.mistakes).toEqual([]);
  expect(telling.told).toHaveLength(requestFields().length);
});

describe('what is refused', () => {
  test.each(rowsThatAre('refused'))('%s', async (_name, field) => {
    const { row } = field;
    if (row.is !== 'refused') throw new Error('only what is refused');
    await expect(send(field, row.value ?? field.something)).rejects.toMatchObject({
      status: row.code,
      details: expect.stringContaining(row.says) as unknown,
    });
  });

  const inMessages = telling.told.filter(({ row, path }) => row.is === 'refused' && !/\[\]\.\w+$/.test(path));
  test.each(named(inMessages.filter(({ call }) => !Object.hasOwn(unimplemented, call))))(
    '%s is not where it says nothing',
    async (_name, field) => {
      await expect(send(field, field.nothing)).resolves.toBeDefined();
    },
  );
});

describe('what has no meaning is accepted, and changes nothing', () => {
  test.each(rowsThatAre('none'))('%s', async (_name, field) => {
    const { call } = field;
    const without = plain.get(call) ?? (await seen(await cri.call(call, valid.of(call))));
    plain.set(call, without);
    expect(await seen(await send(field, field.something))).toEqual(without);
  });

  /** By call, what is seen of the request in which the field is not set. */
  const plain = new Map<string, unknown>();

  /** What was asked of the runtime, or else what was answered, without names and ids. */
  async function seen(answer: object): Promise<unknown> {
    const { pod_sandbox_id: pod, container_id: container } = answer as {
      pod_sandbox_id?: string;
      container_id?: string;
    };
    const asked = pod === undefined ? (container === undefined ? answer : await planOf(container)) : podAsked(cri, pod);
    const network = pod === undefined ? {} : cri.sandboxes.node.network.requests.at(-1);
    const text = JSON.stringify({ asked, network }, (key, value: unknown) =>
      key === 'document' || key === 'netns' ? undefined : typeof value === 'bigint' ? value.toString() : value,
    );
    return JSON.parse(text.replace(/[0-9a-f]{64}/g, 'ID').replace(/"n\d+"/g, '"NAME"')) as unknown;
  }

  async function planOf(id: string): Promise<unknown> {
    const { input, spec, plan, limits } = await askedOf(cri, id);
    // Its mounts are seen in the plan, as the shim is told of them.
    return { input: { ...input, mounts: [] }, spec, plan, limits };
  }
});

describe('values of an enum that nobody here knows', () => {
  const unknown = 99;
  const enums = telling.told.filter(({ row, values }) => row.is === 'done' && values);

  test.each(named(enums.filter(({ path }) => !path.startsWith('filter.'))))('%s is refused', async (_name, field) => {
    await expect(send(field, unknown)).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  test.each(named(enums.filter(({ path }) => path.startsWith('filter.'))))('%s finds nobody', async (_name, field) => {
    const [entries] = Object.values(await send(field, unknown)) as unknown[];
    expect(entries).toEqual([]);
  });
});

describe('a zero that is sent is the same as nothing', () => {
  const proto = loadCriProto();
  const calls = { ...proto.RuntimeService.service, ...proto.ImageService.service } as grpc.ServiceDefinition;
  const single = telling.told.filter(({ nothing }) => typeof nothing !== 'object' || Buffer.isBuffer(nothing));

  /** The request with the messages on the way, and in the last one these bytes. */
  const bytesOf = (numbers: readonly number[], last: Uint8Array): Uint8Array =>
    numbers.reduceRight((inner, number) => lengthThen(number, inner), last);
  const lengthThen = (number: number, bytes: Uint8Array): Uint8Array =>
    protobuf.Writer.create()
      .uint32((number << 3) | 2)
      .bytes(bytes)
      .finish();

  test.each([...Map.groupBy(single, ({ call }) => call)])('%s', (call, fields) => {
    const decode = (bytes: Uint8Array): unknown => calls[call]?.requestDeserialize(Buffer.from(bytes));
    for (const { path, numbers, type } of fields) {
      const [number = 0] = numbers.slice(-1);
      const wireType = type === 'string' || type === 'bytes' ? 2 : 0;
      const zero = Buffer.from(
        protobuf.Writer.create()
          .uint32((number << 3) | wireType)
          .uint32(0)
          .finish(),
      );
      const above = numbers.slice(0, -1);
      const [sent, unsent] = [decode(bytesOf(above, zero)), decode(bytesOf(above, Buffer.alloc(0)))];
      expect([path, sent]).toEqual([path, unsent]);
    }
  });
});

test('docs/cri-fields.md is what `npm run gen` makes of the table', () => {
  const file = path.resolve(import.meta.dirname, '../../docs/cri-fields.md');
  expect(readFileSync(file, 'utf8')).toBe(fieldDocs());
});

describe('rows', () => {
  const field = (call: string, path: string): RequestField => ({
    ...{ call, path, numbers: [1], type: 'string', nothing: '', something: 'x', values: undefined },
  });
  const fields = [field('A', 'x.y'), field('A', 'x.l[].z'), field('B', 'x.y')];
  const told = (rows: Parameters<typeof tell>[1][number]['rows']) =>
    tell(fields, [{ title: '', about: '', rows }], nameOf);

  test('the nearest one tells of a field', () => {
    const { told: found, mistakes } = told({
      'A **': noMeaning('all of A'),
      'A x.l.**': noMeaning('the list'),
      'B x.y': done('this one', 'a test'),
    });
    expect(mistakes).toEqual([]);
    expect(found.map(({ row }) => (row.is === 'none' ? row.why : row.is))).toEqual(['all of A', 'the list', 'done']);
  });

  test('a field without a row, a row without a field and two rows for one are mistakes', () => {
    const { mistakes } = told({ 'A x.y': noMeaning(''), '{A,C} x.y': noMeaning(''), 'B **': done('all', 'a test') });
    expect(mistakes).toEqual(['A x.y has two rows', 'A x.l[].z has no row', 'C x.y: no field is told of']);
  });

  test('alternatives multiply', () => {
    expect(alternatives('{A,B} x.{y,z}')).toEqual(['A x.y', 'A x.z', 'B x.y', 'B x.z']);
  });
});

describe('fields of a message', () => {
  test('are set on the way through messages and lists, and in every entry', () => {
    expect(withField({}, { path: 'a.l[].b' }, 1)).toEqual({ a: { l: [{ b: 1 }] } });
    expect(withField({ l: [{ c: 2 }, {}] }, { path: 'l[].b' }, 1)).toEqual({ l: [{ c: 2, b: 1 }, { b: 1 }] });
  });

  test('are taken away where they are, and nothing is made of nothing', () => {
    expect(withoutField({ l: [{ b: 1, c: 2 }] }, { path: 'l[].b', nothing: 0 })).toEqual({ l: [{ b: 0, c: 2 }] });
    expect(withoutField({ a: null, c: 1 }, { path: 'a.b', nothing: 0 })).toEqual({ a: null, c: 1 });
  });
});
