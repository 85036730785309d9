// Original file: native/protocol/shim.proto

import type { Propagation as _berth_shim_Propagation, Propagation__Output as _berth_shim_Propagation__Output } from '../../berth/shim/Propagation.ts';
import type { Long } from '@grpc/proto-loader';

// Original file: native/protocol/shim.proto

export const _berth_shim_Mount_Kind = {
  BIND: 'BIND',
  POD_SHM: 'POD_SHM',
  FS: 'FS',
  CGROUP: 'CGROUP',
} as const;

export type _berth_shim_Mount_Kind =
  | 'BIND'
  | 0
  | 'POD_SHM'
  | 1
  | 'FS'
  | 2
  | 'CGROUP'
  | 3

export type _berth_shim_Mount_Kind__Output = typeof _berth_shim_Mount_Kind[keyof typeof _berth_shim_Mount_Kind]

export interface Mount {
  'kind'?: (_berth_shim_Mount_Kind);
  'source'?: (string);
  'destination'?: (string);
  'fstype'?: (string);
  'flags'?: (number | string | Long);
  'data'?: (string);
  'propagation'?: (_berth_shim_Propagation);
  'recursive'?: (boolean);
  'recursive_readonly'?: (boolean);
  'create_source'?: (boolean);
  'volume'?: (boolean);
  'idmapped'?: (boolean);
  'if_there'?: (boolean);
}

export interface Mount__Output {
  'kind': (_berth_shim_Mount_Kind__Output);
  'source': (string);
  'destination': (string);
  'fstype': (string);
  'flags': (string);
  'data': (string);
  'propagation': (_berth_shim_Propagation__Output);
  'recursive': (boolean);
  'recursive_readonly': (boolean);
  'create_source': (boolean);
  'volume': (boolean);
  'idmapped': (boolean);
  'if_there': (boolean);
}
