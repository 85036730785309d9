// Original file: native/protocol/shim.proto

import type { ContainerEntry as _berth_shim_ContainerEntry, ContainerEntry__Output as _berth_shim_ContainerEntry__Output } from '../../berth/shim/ContainerEntry.ts';
import type { Long } from '@grpc/proto-loader';

export interface PodState {
  'pod_id'?: (string);
  'pause_pid'?: (number);
  'containers'?: (_berth_shim_ContainerEntry)[];
  'log_bytes_dropped'?: (number | string | Long);
}

export interface PodState__Output {
  'pod_id': (string);
  'pause_pid': (number);
  'containers': (_berth_shim_ContainerEntry__Output)[];
  'log_bytes_dropped': (string);
}
