import type * as grpc from '@grpc/grpc-js';
import type { Ctx } from '#base/ctx';

// The shape of a call's handler. One file a call, named as in the protocol (`run-pod-sandbox.ts` exports
// `runPodSandbox`); the table of a service names them all, so that a forgotten call does not compile.

/**
 * Answers one call. Whatever it throws becomes a gRPC status in handle-call.ts; it does not log its own failure.
 * `ctx.signal` aborts when the caller leaves or its deadline passes.
 */
export type UnaryHandler<Request, Response, Deps> = (
  ctx: Ctx,
  request: Request,
  deps: Deps,
) => Promise<Response> | Response;

/**
 * Answers with a stream: every value is one message. The next one is asked for when the client has room for it; a
 * generator that waits for something has to stop waiting when `ctx.signal` aborts.
 */
export type StreamHandler<Request, Message, Deps> = (
  ctx: Ctx,
  request: Request,
  deps: Deps,
) => AsyncIterable<Message> | Iterable<Message>;

/** The calls a generated `…Handlers` interface names itself, without grpc-js's index signature. */
export type CallNames<Handlers> = keyof {
  [Name in keyof Handlers as string extends Name ? never : number extends Name ? never : Name]: true;
};

/** For every call of a service its handler: `export const imageService = {…} satisfies ServiceTable<…>`. */
export type ServiceTable<Handlers, Deps> = {
  readonly [Name in CallNames<Handlers>]: Handlers[Name] extends grpc.handleUnaryCall<infer Request, infer Response>
    ? UnaryHandler<Request, Response, Deps>
    : Handlers[Name] extends grpc.handleServerStreamingCall<infer Request, infer Message>
      ? StreamHandler<Request, Message, Deps>
      : never;
};
