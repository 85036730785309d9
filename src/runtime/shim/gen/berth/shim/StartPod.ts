// Original file: native/protocol/shim.proto

import type { NsMode as _berth_shim_NsMode, NsMode__Output as _berth_shim_NsMode__Output } from '../../berth/shim/NsMode.ts';
import type { IdMap as _berth_shim_IdMap, IdMap__Output as _berth_shim_IdMap__Output } from '../../berth/shim/IdMap.ts';
import type { Sysctl as _berth_shim_Sysctl, Sysctl__Output as _berth_shim_Sysctl__Output } from '../../berth/shim/Sysctl.ts';
import type { Long } from '@grpc/proto-loader';

export interface StartPod {
  'requires'?: (string)[];
  'pod_id'?: (string);
  'shim_cgroup_dirs'?: (string)[];
  'net'?: (_berth_shim_NsMode);
  'ipc'?: (_berth_shim_NsMode);
  'pid'?: (_berth_shim_NsMode);
  'uts'?: (_berth_shim_NsMode);
  'user'?: (_berth_shim_NsMode);
  'uid_maps'?: (_berth_shim_IdMap)[];
  'gid_maps'?: (_berth_shim_IdMap)[];
  'hostname'?: (string);
  'sysctls'?: (_berth_shim_Sysctl)[];
  'shm_bytes'?: (number | string | Long);
  'shim_oom_score_adj'?: (number);
}

export interface StartPod__Output {
  'requires': (string)[];
  'pod_id': (string);
  'shim_cgroup_dirs': (string)[];
  'net': (_berth_shim_NsMode__Output);
  'ipc': (_berth_shim_NsMode__Output);
  'pid': (_berth_shim_NsMode__Output);
  'uts': (_berth_shim_NsMode__Output);
  'user': (_berth_shim_NsMode__Output);
  'uid_maps': (_berth_shim_IdMap__Output)[];
  'gid_maps': (_berth_shim_IdMap__Output)[];
  'hostname': (string);
  'sysctls': (_berth_shim_Sysctl__Output)[];
  'shm_bytes': (string);
  'shim_oom_score_adj': (number);
}
