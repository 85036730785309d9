// Original file: native/protocol/shim.proto

import type { Hello as _berth_shim_Hello, Hello__Output as _berth_shim_Hello__Output } from '../../berth/shim/Hello.ts';
import type { StartPod as _berth_shim_StartPod, StartPod__Output as _berth_shim_StartPod__Output } from '../../berth/shim/StartPod.ts';
import type { CreateContainer as _berth_shim_CreateContainer, CreateContainer__Output as _berth_shim_CreateContainer__Output } from '../../berth/shim/CreateContainer.ts';
import type { StartContainer as _berth_shim_StartContainer, StartContainer__Output as _berth_shim_StartContainer__Output } from '../../berth/shim/StartContainer.ts';
import type { KillContainer as _berth_shim_KillContainer, KillContainer__Output as _berth_shim_KillContainer__Output } from '../../berth/shim/KillContainer.ts';
import type { DeleteContainer as _berth_shim_DeleteContainer, DeleteContainer__Output as _berth_shim_DeleteContainer__Output } from '../../berth/shim/DeleteContainer.ts';
import type { Exec as _berth_shim_Exec, Exec__Output as _berth_shim_Exec__Output } from '../../berth/shim/Exec.ts';
import type { KillExec as _berth_shim_KillExec, KillExec__Output as _berth_shim_KillExec__Output } from '../../berth/shim/KillExec.ts';
import type { ReopenLog as _berth_shim_ReopenLog, ReopenLog__Output as _berth_shim_ReopenLog__Output } from '../../berth/shim/ReopenLog.ts';
import type { GetState as _berth_shim_GetState, GetState__Output as _berth_shim_GetState__Output } from '../../berth/shim/GetState.ts';
import type { AckExit as _berth_shim_AckExit, AckExit__Output as _berth_shim_AckExit__Output } from '../../berth/shim/AckExit.ts';
import type { Shutdown as _berth_shim_Shutdown, Shutdown__Output as _berth_shim_Shutdown__Output } from '../../berth/shim/Shutdown.ts';
import type { Attach as _berth_shim_Attach, Attach__Output as _berth_shim_Attach__Output } from '../../berth/shim/Attach.ts';
import type { ResizeTty as _berth_shim_ResizeTty, ResizeTty__Output as _berth_shim_ResizeTty__Output } from '../../berth/shim/ResizeTty.ts';

export interface Request {
  'hello'?: (_berth_shim_Hello | null);
  'start_pod'?: (_berth_shim_StartPod | null);
  'create_container'?: (_berth_shim_CreateContainer | null);
  'start_container'?: (_berth_shim_StartContainer | null);
  'kill_container'?: (_berth_shim_KillContainer | null);
  'delete_container'?: (_berth_shim_DeleteContainer | null);
  'exec'?: (_berth_shim_Exec | null);
  'kill_exec'?: (_berth_shim_KillExec | null);
  'reopen_log'?: (_berth_shim_ReopenLog | null);
  'get_state'?: (_berth_shim_GetState | null);
  'ack_exit'?: (_berth_shim_AckExit | null);
  'shutdown'?: (_berth_shim_Shutdown | null);
  'attach'?: (_berth_shim_Attach | null);
  'resize_tty'?: (_berth_shim_ResizeTty | null);
  'call'?: "hello"|"start_pod"|"create_container"|"start_container"|"kill_container"|"delete_container"|"exec"|"kill_exec"|"reopen_log"|"get_state"|"ack_exit"|"shutdown"|"attach"|"resize_tty";
}

export interface Request__Output {
  'hello'?: (_berth_shim_Hello__Output | null);
  'start_pod'?: (_berth_shim_StartPod__Output | null);
  'create_container'?: (_berth_shim_CreateContainer__Output | null);
  'start_container'?: (_berth_shim_StartContainer__Output | null);
  'kill_container'?: (_berth_shim_KillContainer__Output | null);
  'delete_container'?: (_berth_shim_DeleteContainer__Output | null);
  'exec'?: (_berth_shim_Exec__Output | null);
  'kill_exec'?: (_berth_shim_KillExec__Output | null);
  'reopen_log'?: (_berth_shim_ReopenLog__Output | null);
  'get_state'?: (_berth_shim_GetState__Output | null);
  'ack_exit'?: (_berth_shim_AckExit__Output | null);
  'shutdown'?: (_berth_shim_Shutdown__Output | null);
  'attach'?: (_berth_shim_Attach__Output | null);
  'resize_tty'?: (_berth_shim_ResizeTty__Output | null);
  'call'?: "hello"|"start_pod"|"create_container"|"start_container"|"kill_container"|"delete_container"|"exec"|"kill_exec"|"reopen_log"|"get_state"|"ack_exit"|"shutdown"|"attach"|"resize_tty";
}
