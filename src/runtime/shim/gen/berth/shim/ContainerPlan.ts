// Original file: native/protocol/shim.proto

import type { NsMode as _berth_shim_NsMode, NsMode__Output as _berth_shim_NsMode__Output } from '../../berth/shim/NsMode.ts';
import type { CgroupDir as _berth_shim_CgroupDir, CgroupDir__Output as _berth_shim_CgroupDir__Output } from '../../berth/shim/CgroupDir.ts';
import type { Rootfs as _berth_shim_Rootfs, Rootfs__Output as _berth_shim_Rootfs__Output } from '../../berth/shim/Rootfs.ts';
import type { Mount as _berth_shim_Mount, Mount__Output as _berth_shim_Mount__Output } from '../../berth/shim/Mount.ts';
import type { Device as _berth_shim_Device, Device__Output as _berth_shim_Device__Output } from '../../berth/shim/Device.ts';
import type { Sysctl as _berth_shim_Sysctl, Sysctl__Output as _berth_shim_Sysctl__Output } from '../../berth/shim/Sysctl.ts';
import type { Process as _berth_shim_Process, Process__Output as _berth_shim_Process__Output } from '../../berth/shim/Process.ts';

export interface ContainerPlan {
  'net'?: (_berth_shim_NsMode);
  'ipc'?: (_berth_shim_NsMode);
  'uts'?: (_berth_shim_NsMode);
  'user'?: (_berth_shim_NsMode);
  'cgroup_dirs'?: (_berth_shim_CgroupDir)[];
  'rootfs'?: (_berth_shim_Rootfs | null);
  'mounts'?: (_berth_shim_Mount)[];
  'masked_paths'?: (string)[];
  'readonly_paths'?: (string)[];
  'devices'?: (_berth_shim_Device)[];
  'sysctls'?: (_berth_shim_Sysctl)[];
  'process'?: (_berth_shim_Process | null);
}

export interface ContainerPlan__Output {
  'net': (_berth_shim_NsMode__Output);
  'ipc': (_berth_shim_NsMode__Output);
  'uts': (_berth_shim_NsMode__Output);
  'user': (_berth_shim_NsMode__Output);
  'cgroup_dirs': (_berth_shim_CgroupDir__Output)[];
  'rootfs': (_berth_shim_Rootfs__Output | null);
  'mounts': (_berth_shim_Mount__Output)[];
  'masked_paths': (string)[];
  'readonly_paths': (string)[];
  'devices': (_berth_shim_Device__Output)[];
  'sysctls': (_berth_shim_Sysctl__Output)[];
  'process': (_berth_shim_Process__Output | null);
}
