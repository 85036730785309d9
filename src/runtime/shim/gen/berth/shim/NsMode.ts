// Original file: native/protocol/shim.proto

export const NsMode = {
  NS_HOST: 'NS_HOST',
  NS_POD: 'NS_POD',
  NS_NEW: 'NS_NEW',
  NS_CONTAINER: 'NS_CONTAINER',
} as const;

export type NsMode =
  | 'NS_HOST'
  | 0
  | 'NS_POD'
  | 1
  | 'NS_NEW'
  | 2
  | 'NS_CONTAINER'
  | 3

export type NsMode__Output = typeof NsMode[keyof typeof NsMode]
