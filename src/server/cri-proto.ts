import { existsSync } from 'node:fs';
import path from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync, type Options } from '@grpc/proto-loader';
import type { ProtoGrpcType } from '#cri-api/gen/api';

/** Lists, numbers and bytes as the generated types promise them (tools/gen-cri-api.ts makes the same choices). */
const loaderOptions: Options = {
  keepCase: true,
  longs: String,
  enums: String,
  bytes: Buffer,
  defaults: true,
  oneofs: true,
};

export type CriProto = ProtoGrpcType['runtime']['v1'];

/** Reads the protocol; once, at start. */
export function loadCriProto(file = protoFile()): CriProto {
  const loaded = grpc.loadPackageDefinition(loadSync(file, loaderOptions)) as unknown as ProtoGrpcType;
  return loaded.runtime.v1;
}

/** `cri-api/api.proto` of the checkout or installation this runs in, from its sources or from what was built of them. */
function protoFile(): string {
  const candidates = ['../..', '../../..'].map((up) => path.resolve(import.meta.dirname, up, 'cri-api/api.proto'));
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined) throw new Error(`the protocol is missing: looked for ${candidates.join(' and ')}`);
  return found;
}
