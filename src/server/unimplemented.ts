import { BerthError } from '#base/errors';

/**
 * The calls Berth does not answer yet, and what it says instead. README.md shows the same table (a test compares them).
 * A call that is built loses its row.
 */
export const unimplemented = {
  ContainerStats: 'resource statistics are not collected yet',
  ListContainerStats: 'resource statistics are not collected yet',
  StreamContainerStats: 'resource statistics are not collected yet',
  PodSandboxStats: 'resource statistics are not collected yet',
  ListPodSandboxStats: 'resource statistics are not collected yet',
  StreamPodSandboxStats: 'resource statistics are not collected yet',
  ListMetricDescriptors: 'metrics of pods are not collected yet',
  ListPodSandboxMetrics: 'metrics of pods are not collected yet',
  StreamPodSandboxMetrics: 'metrics of pods are not collected yet',
  CheckpointContainer: 'containers cannot be checkpointed yet',
  CheckpointPod: 'pods cannot be checkpointed yet',
  RestorePod: 'pods cannot be restored from a checkpoint yet',
  UpdateContainerResources: 'limits of a running container cannot be changed yet: create it again with the new ones',
  UpdatePodSandboxResources: 'limits of a running pod cannot be changed yet: create it again with the new ones',
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
