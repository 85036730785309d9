// Original file: native/protocol/shim.proto

import type { ContainerState as _berth_shim_ContainerState, ContainerState__Output as _berth_shim_ContainerState__Output } from '../../berth/shim/ContainerState.ts';
import type { ExitRecord as _berth_shim_ExitRecord, ExitRecord__Output as _berth_shim_ExitRecord__Output } from '../../berth/shim/ExitRecord.ts';
import type { Long } from '@grpc/proto-loader';

export interface ContainerEntry {
  'id'?: (string);
  'state'?: (_berth_shim_ContainerState);
  'pid'?: (number);
  'started_at_ns'?: (number | string | Long);
  'exit'?: (_berth_shim_ExitRecord | null);
  'log_bytes_dropped'?: (number | string | Long);
}

export interface ContainerEntry__Output {
  'id': (string);
  'state': (_berth_shim_ContainerState__Output);
  'pid': (number);
  'started_at_ns': (string);
  'exit': (_berth_shim_ExitRecord__Output | null);
  'log_bytes_dropped': (string);
}
