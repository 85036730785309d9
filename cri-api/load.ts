import type * as grpc from '@grpc/grpc-js';
import { fromJSON, type Options } from '@grpc/proto-loader';
import { descriptor } from './gen/descriptor.ts';
import type { ImageServiceDefinition } from './gen/runtime/v1/ImageService.ts';
import type { RuntimeServiceDefinition } from './gen/runtime/v1/RuntimeService.ts';

/**
 * How messages look in JavaScript: names as in the protocol, 64-bit numbers as decimal strings (they exceed 2^53), enums
 * by name, bytes as Buffer, every field there. tools/gen-cri-api.ts makes the types with the same choices.
 */
const options: Options = {
  keepCase: true,
  longs: String,
  enums: String,
  bytes: Buffer,
  defaults: true,
  oneofs: true,
};

export interface CriDefinitions {
  readonly runtime: RuntimeServiceDefinition & grpc.ServiceDefinition;
  readonly image: ImageServiceDefinition & grpc.ServiceDefinition;
}

/** Both services, for a server or a client. Takes some milliseconds: load once. */
export function loadCri(): CriDefinitions {
  const definitions = fromJSON(JSON.parse(descriptor) as Parameters<typeof fromJSON>[0], options);
  return {
    runtime: definitions['runtime.v1.RuntimeService'] as unknown as CriDefinitions['runtime'],
    image: definitions['runtime.v1.ImageService'] as unknown as CriDefinitions['image'],
  };
}
