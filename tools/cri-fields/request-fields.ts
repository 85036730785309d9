import { readFileSync } from 'node:fs';
import path from 'node:path';
import protobuf from 'protobufjs';

const proto = path.resolve(import.meta.dirname, '../../cri-api/api.proto');

/** A field of a request that holds a value: a scalar, an enum, bytes, a map or a list of these. */
export interface RequestField {
  /** The call of CRI. */
  readonly call: string;
  /** From the request on, `[]` after a list of messages: "config.mounts[].host_path". */
  readonly path: string;
  /** As in the protocol; of what is in it for a list. */
  readonly type: string;
  /** The numbers of the fields on the way, and of this one. */
  readonly numbers: readonly number[];
  /** What arrives where nothing was sent. */
  readonly nothing: unknown;
  /** Something that arrives as such. */
  readonly something: unknown;
  /** The names of an enum's values; undefined for other types. */
  readonly values: readonly string[] | undefined;
}

/** Every field of every request, by call, in the order of the protocol. */
export function requestFields(): readonly RequestField[] {
  const { root } = protobuf.parse(readFileSync(proto, 'utf8'), { keepCase: true });
  root.resolveAll();
  const services = ['RuntimeService', 'ImageService'].map((name) => root.lookupService(`runtime.v1.${name}`));
  return services.flatMap((service) =>
    service.methodsArray.flatMap(({ name, resolvedRequestType }) => {
      if (!resolvedRequestType) throw new Error(`${name} has no request`);
      return [...fieldsOf(name, resolvedRequestType, '', [])];
    }),
  );
}

function* fieldsOf(
  call: string,
  message: protobuf.Type,
  before: string,
  above: readonly number[],
): Generator<RequestField> {
  for (const field of message.fieldsArray) {
    const { name, id, repeated, resolvedType } = field;
    const here = `${before}${name}`;
    const numbers = [...above, id];
    const isMessage = resolvedType instanceof protobuf.Type && !(field instanceof protobuf.MapField);
    if (isMessage) yield* fieldsOf(call, resolvedType, `${here}${repeated ? '[]' : ''}.`, numbers);
    else yield { call, path: here, numbers, ...typeOf(field) };
  }
}

function typeOf(field: protobuf.Field): Omit<RequestField, 'call' | 'path' | 'numbers'> {
  const { type, repeated, resolvedType } = field;
  if (field instanceof protobuf.MapField) {
    return { type: `map<${field.keyType}, ${type}>`, nothing: {}, something: { some: 'thing' }, values: undefined };
  }
  const values = resolvedType instanceof protobuf.Enum ? Object.keys(resolvedType.values) : undefined;
  const [nothing, something] = values ? [values[0], values[1]] : scalar(type);
  return { type, nothing: repeated ? [] : nothing, something: repeated ? [something] : something, values };
}

/** As the server's decoder gives it: 64-bit numbers are text. */
function scalar(type: string): readonly [unknown, unknown] {
  switch (type) {
    case 'string':
      return ['', 'something'];
    case 'bool':
      return [false, true];
    case 'bytes':
      return [Buffer.alloc(0), Buffer.from('something')];
    case 'int32':
    case 'uint32':
      return [0, 1];
    case 'int64':
    case 'uint64':
      return ['0', '1'];
    default:
      throw new Error(`a field of type ${type}: say here what it is without a value`);
  }
}
