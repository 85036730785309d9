import type * as grpc from '@grpc/grpc-js';
import type { CriCall } from './call-policies.ts';
import type { CallHandler } from './handle-call.ts';
import type { ServiceTable, StreamHandler, UnaryHandler } from './handler.ts';
import { countingUnknown } from './unknown-fields.ts';

/** A service of the protocol with what answers it, for CriServer. */
export interface BoundService {
  readonly definition: grpc.ServiceDefinition;
  readonly implementation: grpc.UntypedServiceImplementation;
}

/** Puts the wrapper around every handler of a service, and counts fields of requests that nobody here knows. */
export function bindService<Handlers, Deps>(
  definition: grpc.ServiceDefinition,
  table: ServiceTable<Handlers, Deps>,
  deps: Deps,
  calls: CallHandler,
): BoundService {
  const implementation: grpc.UntypedServiceImplementation = {};
  const counting: Record<string, grpc.MethodDefinition<unknown, unknown>> = {};
  for (const [name, method] of Object.entries(definition)) {
    const handler = (table as Readonly<Record<string, unknown>>)[name];
    if (handler === undefined) throw new Error(`no handler for ${method.path}`);
    counting[name] = {
      ...method,
      requestDeserialize: countingUnknown(method.requestDeserialize, (fields) =>
        calls.countUnknown(name as CriCall, fields),
      ),
    };
    implementation[name] = method.responseStream
      ? calls.stream(name as CriCall, handler as StreamHandler<object, object, Deps>, deps)
      : calls.unary(name as CriCall, handler as UnaryHandler<object, object, Deps>, deps);
  }
  return { definition: counting, implementation };
}
