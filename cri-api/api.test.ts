import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { describe, expect, test } from '@jest/globals';
import protobuf from 'protobufjs';
import type { ProtoGrpcType } from './gen/api.ts';

const here = import.meta.dirname;

/** The services as the server and the clients load them. */
function services(): { runtime: ProtoGrpcType['runtime']['v1']['RuntimeService']['service']; image: object } {
  const loaded = loadSync(path.join(here, 'api.proto'), {
    keepCase: true,
    longs: String,
    enums: String,
    bytes: Buffer,
    defaults: true,
    oneofs: true,
  });
  const { RuntimeService, ImageService } = (grpc.loadPackageDefinition(loaded) as unknown as ProtoGrpcType).runtime.v1;
  return { runtime: RuntimeService.service, image: ImageService.service };
}

const table = readFileSync(path.join(here, 'v0.37.2.tsv'), 'utf8').trimEnd().split('\n');

// The table was made by a reader that does not see enums inside messages. There is one.
const nested = ['RuntimeDefault', 'Unconfined', 'Localhost'].map((name, n) => `enum\tProfileType\t${n}\t${name}`);

/** What api.proto says, in the words of the table. */
function transcription(): string[] {
  const { root } = protobuf.parse(readFileSync(path.join(here, 'api.proto'), 'utf8'), { keepCase: true });
  const found = root.lookup('runtime.v1');
  if (!(found instanceof protobuf.Namespace)) throw new Error('no package runtime.v1');
  return [...lines(found.nestedArray)];
}

function* lines(items: readonly protobuf.ReflectionObject[]): Generator<string> {
  for (const item of items) {
    if (item instanceof protobuf.Service) yield* item.methodsArray.map(rpcLine);
    if (item instanceof protobuf.Enum) {
      yield* Object.entries(item.values).map(([name, number]) => `enum\t${item.name}\t${number}\t${name}`);
    }
    if (!(item instanceof protobuf.Type)) continue;
    if (item.fieldsArray.length === 0) yield `message\t${item.name}\t-`;
    yield* item.fieldsArray.map(fieldLine);
    yield* lines(item.nestedArray);
  }
}

function rpcLine(method: protobuf.Method): string {
  const kind = method.responseStream ? 'server-stream' : 'unary';
  const service = method.parent?.fullName.slice(1);
  return ['rpc', service, method.name, method.requestType, method.responseType, kind].join('\t');
}

function fieldLine(field: protobuf.Field): string {
  const type = field instanceof protobuf.MapField ? `map<${field.keyType},${field.type}>` : field.type;
  const oneof = field.partOf?.name ?? '';
  const deprecated = field.options?.['deprecated'] === true ? 'deprecated' : '';
  const label = field.repeated ? 'repeated' : 'one';
  return ['field', field.parent?.name, field.id, field.name, label, type, oneof, deprecated].join('\t');
}

describe('api.proto', () => {
  test('says what the table of the protocol says: every rpc, message, field number, type, label, enum value', () => {
    expect(transcription().sort()).toEqual([...table, ...nested].sort());
  });

  test('has 43 calls', () => {
    const { runtime, image } = services();
    expect([Object.keys(runtime).length, Object.keys(image).length]).toEqual([37, 6]);
  });

  test('cri-api/gen is what `npm run gen` makes of it', () => {
    const out = mkdtempSync(path.join(os.tmpdir(), 'berth-gen-'));
    try {
      execFileSync(process.execPath, [path.join(path.dirname(here), 'tools/gen-cri-api.ts'), out]);
      const read = (top: string): Record<string, string> =>
        Object.fromEntries(
          readdirSync(top, { recursive: true, withFileTypes: true })
            .filter((entry) => entry.isFile())
            .map((entry) => path.join(entry.parentPath, entry.name))
            .map((file) => [path.relative(top, file), readFileSync(file, 'utf8')]),
        );
      expect(read(path.join(here, 'gen'))).toEqual(read(out));
    } finally {
      rmSync(out, { recursive: true });
    }
  }, 60_000);
});

describe('messages in JavaScript', () => {
  const { ExecSync, CreateContainer, ContainerStatus } = services().runtime;

  test('64-bit numbers keep every digit', () => {
    const bytes = ExecSync.requestSerialize({ timeout: '9223372036854775807' });
    expect(ExecSync.requestDeserialize(bytes).timeout).toBe('9223372036854775807');
  });

  test('values of the environment stay bytes', () => {
    const value = Buffer.from([0xff, 0x00, 0x80]);
    const bytes = CreateContainer.requestSerialize({ config: { envs: [{ key: 'K', value }] } });
    expect(CreateContainer.requestDeserialize(bytes).config?.envs[0]?.value.equals(value)).toBe(true);
  });

  test('timestamps beyond 2^53 keep their nanoseconds', () => {
    const bytes = ContainerStatus.responseSerialize({ status: { created_at: '1786550400123456789' } });
    expect(ContainerStatus.responseDeserialize(bytes).status?.created_at).toBe('1786550400123456789');
  });
});
