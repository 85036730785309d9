// Original file: native/protocol/shim.proto

import type { Error as _berth_shim_Error, Error__Output as _berth_shim_Error__Output } from '../../berth/shim/Error.ts';
import type { HelloReply as _berth_shim_HelloReply, HelloReply__Output as _berth_shim_HelloReply__Output } from '../../berth/shim/HelloReply.ts';
import type { PodStarted as _berth_shim_PodStarted, PodStarted__Output as _berth_shim_PodStarted__Output } from '../../berth/shim/PodStarted.ts';
import type { ContainerCreated as _berth_shim_ContainerCreated, ContainerCreated__Output as _berth_shim_ContainerCreated__Output } from '../../berth/shim/ContainerCreated.ts';
import type { ContainerStarted as _berth_shim_ContainerStarted, ContainerStarted__Output as _berth_shim_ContainerStarted__Output } from '../../berth/shim/ContainerStarted.ts';
import type { ExecStarted as _berth_shim_ExecStarted, ExecStarted__Output as _berth_shim_ExecStarted__Output } from '../../berth/shim/ExecStarted.ts';
import type { PodState as _berth_shim_PodState, PodState__Output as _berth_shim_PodState__Output } from '../../berth/shim/PodState.ts';
import type { Done as _berth_shim_Done, Done__Output as _berth_shim_Done__Output } from '../../berth/shim/Done.ts';

export interface Response {
  'error'?: (_berth_shim_Error | null);
  'hello'?: (_berth_shim_HelloReply | null);
  'pod_started'?: (_berth_shim_PodStarted | null);
  'container_created'?: (_berth_shim_ContainerCreated | null);
  'container_started'?: (_berth_shim_ContainerStarted | null);
  'exec_started'?: (_berth_shim_ExecStarted | null);
  'state'?: (_berth_shim_PodState | null);
  'done'?: (_berth_shim_Done | null);
  'result'?: "error"|"hello"|"pod_started"|"container_created"|"container_started"|"exec_started"|"state"|"done";
}

export interface Response__Output {
  'error'?: (_berth_shim_Error__Output | null);
  'hello'?: (_berth_shim_HelloReply__Output | null);
  'pod_started'?: (_berth_shim_PodStarted__Output | null);
  'container_created'?: (_berth_shim_ContainerCreated__Output | null);
  'container_started'?: (_berth_shim_ContainerStarted__Output | null);
  'exec_started'?: (_berth_shim_ExecStarted__Output | null);
  'state'?: (_berth_shim_PodState__Output | null);
  'done'?: (_berth_shim_Done__Output | null);
  'result'?: "error"|"hello"|"pod_started"|"container_created"|"container_started"|"exec_started"|"state"|"done";
}
