// Original file: native/protocol/shim.proto

export const ContainerState = {
  CREATED: 'CREATED',
  RUNNING: 'RUNNING',
  EXITED: 'EXITED',
} as const;

export type ContainerState =
  | 'CREATED'
  | 0
  | 'RUNNING'
  | 1
  | 'EXITED'
  | 2

export type ContainerState__Output = typeof ContainerState[keyof typeof ContainerState]
