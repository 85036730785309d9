// Original file: native/protocol/shim.proto


// Original file: native/protocol/shim.proto

export const _berth_shim_Error_Kind = {
  KERNEL: 'KERNEL',
  NOT_FOUND: 'NOT_FOUND',
  STATE: 'STATE',
  UNRESPONSIVE: 'UNRESPONSIVE',
  UNSUPPORTED: 'UNSUPPORTED',
  BAD_MESSAGE: 'BAD_MESSAGE',
  START: 'START',
  LIMIT: 'LIMIT',
  REQUEST: 'REQUEST',
  IMAGE: 'IMAGE',
} as const;

export type _berth_shim_Error_Kind =
  | 'KERNEL'
  | 0
  | 'NOT_FOUND'
  | 1
  | 'STATE'
  | 2
  | 'UNRESPONSIVE'
  | 3
  | 'UNSUPPORTED'
  | 4
  | 'BAD_MESSAGE'
  | 5
  | 'START'
  | 6
  | 'LIMIT'
  | 7
  | 'REQUEST'
  | 8
  | 'IMAGE'
  | 9

export type _berth_shim_Error_Kind__Output = typeof _berth_shim_Error_Kind[keyof typeof _berth_shim_Error_Kind]

export interface Error {
  'kind'?: (_berth_shim_Error_Kind);
  'step'?: (string);
  'path'?: (string);
  'errno'?: (number);
  'message'?: (string);
}

export interface Error__Output {
  'kind': (_berth_shim_Error_Kind__Output);
  'step': (string);
  'path': (string);
  'errno': (number);
  'message': (string);
}
