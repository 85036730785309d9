import { status } from '@grpc/grpc-js';
import type { ErrorCode } from '#base/error-codes';
import type { BerthError } from '#base/errors';

// The only place that knows which gRPC status an error of Berth becomes.

const statusOf: Readonly<Record<ErrorCode, status>> = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  NOT_FOUND: status.NOT_FOUND,
  ALREADY_EXISTS: status.ALREADY_EXISTS,
  FAILED_PRECONDITION: status.FAILED_PRECONDITION,
  UNIMPLEMENTED: status.UNIMPLEMENTED,
  IMAGE_INVALID: status.FAILED_PRECONDITION,
  START_ERROR: status.FAILED_PRECONDITION,
  PATH_UNRESPONSIVE: status.DEADLINE_EXCEEDED,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  CANCELLED: status.CANCELLED,
  UNAUTHENTICATED: status.UNAUTHENTICATED,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
  RESOURCE_EXHAUSTED: status.RESOURCE_EXHAUSTED,
  UNAVAILABLE: status.UNAVAILABLE,
  // The same call would fail again; whoever owns the pod has to make a new one.
  SHIM_DIED: status.ABORTED,
  STATE_LOCKED: status.FAILED_PRECONDITION,
  STATE_CORRUPT: status.DATA_LOSS,
  KERNEL: status.INTERNAL,
  NETWORK_FAILED: status.INTERNAL,
  CONFIG_INVALID: status.FAILED_PRECONDITION,
  INTERNAL: status.INTERNAL,
};

/** What grpc-js sends: a number and a sentence. `details` and causes stay in the log. */
export interface CallStatus {
  readonly code: status;
  readonly details: string;
}

/** It travels in a header; a sentence longer than this says nothing more. */
const maxSentence = 4096;

export function toStatus(error: BerthError): CallStatus {
  // grpc-js would throw on half a surrogate pair, which a name from an image may hold.
  return { code: statusOf[error.code], details: error.message.slice(0, maxSentence).toWellFormed() };
}

/** The name of a status, as metrics and logs show it. */
export function statusName(code: status): string {
  return status[code];
}
