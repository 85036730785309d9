import { existsSync } from 'node:fs';
import path from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType } from './gen/api.ts';
import type { ImageServiceClient } from './gen/runtime/v1/ImageService.ts';
import type { RuntimeServiceClient } from './gen/runtime/v1/RuntimeService.ts';

// A client of the CRI as promises, for the berth command, the end-to-end tests and the benchmarks.

type UnaryMethod<Request, Response> = (
  argument: Request,
  callback: grpc.requestCallback<Response>,
) => grpc.ClientUnaryCall;

/** Every unary call of a generated client, by its lower-case name, as a function that gives a promise. */
export type UnaryCalls<Client> = {
  readonly [
    Name in keyof Client as Name extends Uncapitalize<Name & string>
      ? Client[Name] extends UnaryMethod<infer _Request, infer _Response>
        ? Name
        : never
      : never
  ]: Client[Name] extends UnaryMethod<infer Request, infer Response>
    ? (request: Request, options?: CallOptions) => Promise<Response>
    : never;
};

export interface CallOptions {
  /** Milliseconds the client waits; a minute by default. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface CriClient extends Disposable {
  readonly runtime: UnaryCalls<RuntimeServiceClient>;
  readonly images: UnaryCalls<ImageServiceClient>;
  /** For what is not unary. */
  readonly rawRuntime: RuntimeServiceClient;
  readonly rawImages: ImageServiceClient;
  close(): void;
}

const defaultTimeoutMs = 60_000;
const receiveLimit = 64 * 1024 * 1024;

/** Connects at the first call; a socket that does not answer is an error of that call. */
export function connectCri(socket: string): CriClient {
  const { runtime } = loadCri();
  const address = `unix://${socket}`;
  const options: grpc.ClientOptions = {
    'grpc.max_receive_message_length': receiveLimit,
    'grpc.default_authority': 'localhost',
    'grpc.enable_http_proxy': 0,
    'grpc.enable_channelz': 0,
    // A connection of its own for each client, and a quick second try while berthd starts.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.min_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 100,
  };
  const credentials = grpc.credentials.createInsecure();
  const rawRuntime = new runtime.v1.RuntimeService(address, credentials, options);
  const rawImages = new runtime.v1.ImageService(address, credentials, options);
  const close = (): void => {
    rawRuntime.close();
    rawImages.close();
  };
  return {
    runtime: unaryCalls(rawRuntime),
    images: unaryCalls(rawImages),
    rawRuntime,
    rawImages,
    close,
    [Symbol.dispose]: close,
  };
}

let loaded: ProtoGrpcType | undefined;

function loadCri(): ProtoGrpcType {
  loaded ??= grpc.loadPackageDefinition(
    loadSync(protoFile(), {
      keepCase: true,
      longs: String,
      enums: String,
      bytes: Buffer,
      defaults: true,
      oneofs: true,
    }),
  ) as unknown as ProtoGrpcType;
  return loaded;
}

/** The protocol lies beside the sources, also for what was built from them. */
function protoFile(): string {
  const beside = path.join(import.meta.dirname, 'api.proto');
  return existsSync(beside) ? beside : path.join(import.meta.dirname, '../../cri-api/api.proto');
}

function unaryCalls<Client extends grpc.Client>(client: Client): UnaryCalls<Client> {
  return new Proxy({} as UnaryCalls<Client>, {
    get: (_target, name) =>
      typeof name === 'string'
        ? (request: object, options?: CallOptions) => callUnary(client, name, request, options)
        : undefined,
  });
}

type LooseCall = (
  request: object,
  metadata: grpc.Metadata,
  options: grpc.CallOptions,
  callback: (error: grpc.ServiceError | null, response: object) => void,
) => grpc.ClientUnaryCall;

function callUnary(client: grpc.Client, name: string, request: object, options: CallOptions = {}): Promise<object> {
  const { signal, timeoutMs = defaultTimeoutMs } = options;
  const method = (client as unknown as Record<string, LooseCall | undefined>)[name];
  if (method === undefined) throw new TypeError(`the CRI has no call ${name}`);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => call.cancel();
    const deadline = Date.now() + timeoutMs;
    const call = method.call(client, request, new grpc.Metadata(), { deadline }, (error, response) => {
      signal?.removeEventListener('abort', onAbort);
      if (error) reject(new CriError(name, error));
      else resolve(response);
    });
    if (signal?.aborted) call.cancel();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** What the runtime answered instead of a result. */
export class CriError extends Error {
  override readonly name = 'CriError';
  readonly method: string;
  /** The name of the gRPC status: "NOT_FOUND". */
  readonly status: string;
  /** The runtime's sentence. */
  readonly details: string;

  constructor(method: string, error: grpc.ServiceError) {
    const status = grpc.status[error.code] ?? String(error.code);
    super(`${method}: ${status}: ${error.details}`);
    this.method = method;
    this.status = status;
    this.details = error.details;
  }
}
