// Original file: native/protocol/shim.proto

export const Propagation = {
  PRIVATE: 'PRIVATE',
  SLAVE: 'SLAVE',
  SHARED: 'SHARED',
} as const;

export type Propagation =
  | 'PRIVATE'
  | 0
  | 'SLAVE'
  | 1
  | 'SHARED'
  | 2

export type Propagation__Output = typeof Propagation[keyof typeof Propagation]
