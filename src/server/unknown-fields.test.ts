import type * as grpc from '@grpc/grpc-js';
import { describe, expect, test } from '@jest/globals';
import protobuf from 'protobufjs';
import { connectCri } from '#cri-api/client';
import { loadCriProto } from './cri-proto.ts';
import { startTestServer } from './cri-server.fixture.ts';
import { anImage, imageStoreOf } from './images.fixture.ts';
import { countingUnknown, RefusedRequest } from './unknown-fields.ts';

const { RunPodSandbox } = loadCriProto().RuntimeService.service;

type PodRequest = ReturnType<typeof RunPodSandbox.requestDeserialize>;

/** A field that no message of the protocol has, of each wire type but the deprecated ends of groups. */
const unknown: Readonly<Record<string, (writer: protobuf.Writer) => protobuf.Writer>> = {
  'a number': (writer) => writer.uint32((900 << 3) | 0).uint64(7),
  'eight bytes': (writer) => writer.uint32((901 << 3) | 1).fixed64(7),
  'a text': (writer) => writer.uint32((902 << 3) | 2).string('of tomorrow'),
  'a group with a field in it': (writer) =>
    writer
      .uint32((903 << 3) | 3)
      .uint32((1 << 3) | 0)
      .uint32(1)
      .uint32((903 << 3) | 4),
  'four bytes': (writer) => writer.uint32((904 << 3) | 5).fixed32(7),
};

/** `bytes` as field `id` of a message. */
const nested = (id: number, bytes: Uint8Array): protobuf.Writer =>
  protobuf.Writer.create()
    .uint32((id << 3) | 2)
    .bytes(bytes);

function decode(bytes: Uint8Array): { request: PodRequest | RefusedRequest; found: number[] } {
  const found: number[] = [];
  const read = countingUnknown(RunPodSandbox.requestDeserialize, (fields) => void found.push(fields));
  return { request: read(Buffer.from(bytes)), found };
}

const unreadable = (why: string): RefusedRequest => {
  const message = expect.stringContaining(`the request is no message of CRI v1: ${why}`) as unknown;
  return new RefusedRequest(expect.objectContaining({ code: 'INVALID_ARGUMENT', message }) as never);
};

const pod = { config: { metadata: { name: 'web', attempt: 3 }, labels: { a: 'b' } }, runtime_handler: 'berth' };
const known = RunPodSandbox.requestSerialize(pod);

describe('fields of a newer protocol', () => {
  test('nothing is found where there is none, and the request is what it was', () => {
    const { request, found } = decode(known);
    expect(found).toEqual([]);
    expect(request).toEqual(RunPodSandbox.requestDeserialize(known));
  });

  test.each(Object.keys(unknown))('%s is skipped and counts once', (kind) => {
    const field = unknown[kind]?.(protobuf.Writer.create()).finish() ?? Buffer.alloc(0);
    const { request, found } = decode(Buffer.concat([field, known]));
    expect(found).toEqual([1]);
    expect(request).toEqual(RunPodSandbox.requestDeserialize(known));
  });

  test('so do those within messages, list entries and maps', () => {
    const field = (unknown['a number'] as (writer: protobuf.Writer) => protobuf.Writer)(protobuf.Writer.create());
    const bytes = field.finish();
    // config, config.port_mappings[] twice, config.labels: where config is field 1, and they 5 and 6 of it.
    const config = Buffer.concat([
      bytes,
      nested(5, bytes).finish(),
      nested(5, bytes).finish(),
      nested(6, bytes).finish(),
    ]);
    const { request, found } = decode(nested(1, config).finish());
    expect(found).toEqual([4]);
    expect(request).toMatchObject({ config: { port_mappings: [{}, {}] } });
  });

  test('bytes that are no message are the mistake of who sent them, and grpc-js called them INTERNAL', () => {
    const wrongType = protobuf.Writer.create().uint32((900 << 3) | 7);
    expect(decode(Buffer.from([0x0a, 0x7f])).request).toEqual(unreadable('index out of range'));
    expect(decode(wrongType.finish()).request).toEqual(unreadable('invalid wire type'));
  });

  test('a string that goes on after its message is not cut', () => {
    const version = countingUnknown(loadCriProto().RuntimeService.service.Version.requestDeserialize, () => undefined);
    expect(version(Buffer.from([0x0a, 2, 0x61, 0x62]))).toEqual({ version: 'ab' });
    expect(version(Buffer.from([0x0a, 3, 0x61, 0x62]))).toEqual(unreadable('index out of range'));
    expect(version(Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]))).toEqual(unreadable('index out of range'));
  });

  test('a string that is not UTF-8 is not taken for another one', () => {
    const version = countingUnknown(loadCriProto().RuntimeService.service.Version.requestDeserialize, () => undefined);
    expect(version(Buffer.from([0x0a, 3, 0xef, 0xbf, 0xbd]))).toEqual({ version: '\ufffd' });
    expect(version(Buffer.from([0x0a, 3, 0x2f, 0xff, 0x61]))).toEqual(unreadable('a string is not UTF-8'));
  });
});

describe('a request of more entries than anybody has', () => {
  /** `many` times `entry` in the config. */
  const request = (entry: readonly number[], many: number): Buffer =>
    Buffer.from(nested(1, Buffer.alloc(entry.length * many, Buffer.from(entry))).finish());
  const portMapping = [0x2a, 0];
  const group = (many: number): Buffer => {
    // config.linux.security_context.supplemental_groups, packed.
    const groups = nested(5, Buffer.alloc(many, 1)).finish();
    return Buffer.from(nested(1, nested(8, nested(2, groups).finish()).finish()).finish());
  };
  const why = {
    code: 'RESOURCE_EXHAUSTED',
    message: 'the request has more than 500000 fields, lengths and numbers, which is the limit: its lists are too long',
  };

  test.each([
    ['empty list entries', request(portMapping, 250_000)],
    ['empty strings', request([0x1a, 0], 250_000)],
    ['unknown fields', request([0xf8, 0x3f, 1], 500_000)],
    ['packed numbers', group(500_000)],
  ])('%s are refused before they are read to their end', (_name, bytes) => {
    expect(decode(bytes)).toEqual({ request: new RefusedRequest(expect.objectContaining(why) as never), found: [] });
  });

  test.each([
    ['list entries', request(portMapping, 10_000)],
    ['packed numbers', group(65_536)],
  ])('%s as many as are taken are read', (_name, bytes) => {
    expect(decode(bytes).request).not.toBeInstanceOf(RefusedRequest);
  });

  test('its caller is told the limit', async () => {
    await using server = await startTestServer();
    const { ListImages } = loadCriProto().ImageService.service;
    const same = (raw: Buffer): Buffer => raw;
    using client = connectCri(server.socket);
    const error = await new Promise<grpc.ServiceError | null>((resolve) =>
      (client.rawImages as grpc.Client).makeUnaryRequest(
        ListImages.path,
        same,
        same,
        request([0x0a, 0], 250_000),
        resolve,
      ),
    );
    expect(error).toMatchObject({ code: 8, details: why.message });
    await expect(server.client.images.listImages({})).resolves.toEqual({ images: [] });
  });
});

test('a call with fields that nobody here knows is answered, and they are counted by call', async () => {
  await using server = await startTestServer({ images: imageStoreOf([anImage(1)]) });
  using client = connectCri(server.socket);
  const { ImageStatus } = loadCriProto().ImageService.service;
  const spec = Buffer.concat([
    ImageStatus.requestSerialize({ image: { image: anImage(1).id } }),
    protobuf.Writer.create()
      .uint32((900 << 3) | 0)
      .uint32(1)
      .uint32((901 << 3) | 0)
      .uint32(1)
      .finish(),
  ]);
  const call = (bytes: Buffer): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const done = (error: grpc.ServiceError | null, answer?: Buffer): void => {
        if (answer) resolve(answer);
        else reject(error ?? new Error('no answer'));
      };
      const same = (raw: Buffer): Buffer => raw;
      (client.rawImages as grpc.Client).makeUnaryRequest(ImageStatus.path, same, same, bytes, done);
    });
  const counted = async (): Promise<string[]> =>
    (await server.metrics.text()).split('\n').filter((line) => line.startsWith('berth_call_unknown_fields_total'));
  await call(ImageStatus.requestSerialize({ image: { image: anImage(1).id } }));
  expect(await counted()).toEqual([]);
  expect(ImageStatus.responseDeserialize(await call(spec)).image?.id).toBe(anImage(1).id);
  expect(await counted()).toEqual(['berth_call_unknown_fields_total{method="ImageStatus"} 2']);
});
