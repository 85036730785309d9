/**
 * Every error code Berth uses, who caused it, and what it means. docs/errors.md lists the same codes (a test compares
 * them); only src/server/status-codes.ts turns a code into a gRPC status.
 *
 * side `user`: the caller asked for something that cannot be. side `system`: the machine or Berth failed.
 */
export const errorCodes = {
  INVALID_ARGUMENT: { side: 'user', meaning: 'the request is malformed or asks for a combination that is not allowed' },
  NOT_FOUND: { side: 'user', meaning: 'no pod, container, image or file of that name' },
  ALREADY_EXISTS: { side: 'user', meaning: 'another object holds that identity with a different config' },
  FAILED_PRECONDITION: { side: 'user', meaning: 'the object, or the node, is not in a state that allows the call' },
  UNIMPLEMENTED: { side: 'user', meaning: 'Berth does not do this yet' },
  IMAGE_INVALID: { side: 'user', meaning: 'image bytes are corrupt, hostile or of an unknown kind' },
  START_ERROR: {
    side: 'user',
    meaning: 'the container process could not be started (command, user, working directory)',
  },
  PATH_UNRESPONSIVE: { side: 'system', meaning: 'a volume path did not answer before the deadline' },
  DEADLINE_EXCEEDED: { side: 'system', meaning: 'the operation did not finish in time' },
  CANCELLED: { side: 'user', meaning: 'the caller went away' },
  UNAUTHENTICATED: { side: 'user', meaning: 'a registry did not take the credentials, or wants some' },
  PERMISSION_DENIED: { side: 'user', meaning: 'a registry or policy does not allow it with these credentials' },
  RESOURCE_EXHAUSTED: { side: 'system', meaning: 'a limit was reached: disk, memory, addresses, queue length, size' },
  UNAVAILABLE: { side: 'system', meaning: 'not ready yet, or shutting down; try again' },
  SHIM_DIED: { side: 'system', meaning: 'the pod lost its shim; its containers were killed' },
  STATE_LOCKED: { side: 'system', meaning: 'another berthd owns the state directory' },
  STATE_CORRUPT: { side: 'system', meaning: 'a stored record or database could not be read' },
  KERNEL: { side: 'system', meaning: 'a system call failed; details has step, path and errno' },
  NETWORK_FAILED: { side: 'system', meaning: 'a network plugin failed; the message has its path and its words' },
  CONFIG_INVALID: { side: 'user', meaning: 'the configuration file is wrong; the message names the key' },
  INTERNAL: { side: 'system', meaning: 'a bug in Berth' },
} as const satisfies Record<string, { side: 'user' | 'system'; meaning: string }>;

export type ErrorCode = keyof typeof errorCodes;
