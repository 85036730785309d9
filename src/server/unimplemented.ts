import { BerthError } from '#base/errors';

/**
 * The calls Berth does not answer yet, and what it says instead. README.md shows the same table (a test compares them).
 * A call that is built loses its row.
 */
export const unimplemented = {
  CheckpointContainer: 'containers cannot be checkpointed yet',
  CheckpointPod: 'pods cannot be checkpointed yet',
  RestorePod: 'pods cannot be restored from a checkpoint yet',
} as const satisfies Record<string, string>;

export type UnimplementedCall = keyof typeof unimplemented;

/** The handler, unary or streaming, of a call that is not built: always UNIMPLEMENTED with the table's sentence. */
export function answerUnimplemented(call: UnimplementedCall): () => never {
  return () => {
    throw unimplementedError(call);
  };
}

export function unimplementedError(call: UnimplementedCall): BerthError {
  return new BerthError('UNIMPLEMENTED', `${call} is not implemented: ${unimplemented[call]}`);
}
