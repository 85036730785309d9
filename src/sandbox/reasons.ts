/**
 * Every reason that a pod or container can get, and what it means. docs/reasons.md lists the same (a test compares them),
 * with what to do. Reasons are stored and shown: they keep their names.
 */
export const podReasons = {
  Stopped: 'it was stopped, by the kubelet or by hand',
  StopFailed: 'its stop was begun and could not be finished',
  ShimDied: 'its shim was killed, and everything in it with it',
  PauseDied: 'the process that holds its namespaces was killed; its containers go on',
  NodeRebooted: 'the node was started anew; nothing of it runs',
  CreateFailed: 'it could not be made, and what was made of it could not be undone either',
} as const;

export type PodReason = keyof typeof podReasons;

export const containerReasons = {
  Completed: 'its process ended with exit code 0',
  Error: 'its process ended with another exit code, or by a signal (128 + its number)',
  OOMKilled: 'its process was killed because the memory limit was reached',
  StartError: 'its command could not be executed',
  ContainerDied: 'it ended without anybody seeing how: with its pod, or its shim does not know it any more',
  ShimDied: 'it was killed because the shim of its pod died',
  NodeRebooted: 'the node was started anew',
  CreateFailed: 'it could not be made, and what was made of it could not be undone either',
} as const;

export type ContainerReason = keyof typeof containerReasons;
