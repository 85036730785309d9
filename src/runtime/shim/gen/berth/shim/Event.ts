// Original file: native/protocol/shim.proto

import type { ExitRecord as _berth_shim_ExitRecord, ExitRecord__Output as _berth_shim_ExitRecord__Output } from '../../berth/shim/ExitRecord.ts';
import type { ExecExited as _berth_shim_ExecExited, ExecExited__Output as _berth_shim_ExecExited__Output } from '../../berth/shim/ExecExited.ts';
import type { Oom as _berth_shim_Oom, Oom__Output as _berth_shim_Oom__Output } from '../../berth/shim/Oom.ts';
import type { AttachEnded as _berth_shim_AttachEnded, AttachEnded__Output as _berth_shim_AttachEnded__Output } from '../../berth/shim/AttachEnded.ts';
import type { PauseEnded as _berth_shim_PauseEnded, PauseEnded__Output as _berth_shim_PauseEnded__Output } from '../../berth/shim/PauseEnded.ts';
import type { LogDropped as _berth_shim_LogDropped, LogDropped__Output as _berth_shim_LogDropped__Output } from '../../berth/shim/LogDropped.ts';

export interface Event {
  'container_exited'?: (_berth_shim_ExitRecord | null);
  'exec_exited'?: (_berth_shim_ExecExited | null);
  'oom'?: (_berth_shim_Oom | null);
  'attach_ended'?: (_berth_shim_AttachEnded | null);
  'pause_ended'?: (_berth_shim_PauseEnded | null);
  'log_dropped'?: (_berth_shim_LogDropped | null);
  'what'?: "container_exited"|"exec_exited"|"oom"|"attach_ended"|"pause_ended"|"log_dropped";
}

export interface Event__Output {
  'container_exited'?: (_berth_shim_ExitRecord__Output | null);
  'exec_exited'?: (_berth_shim_ExecExited__Output | null);
  'oom'?: (_berth_shim_Oom__Output | null);
  'attach_ended'?: (_berth_shim_AttachEnded__Output | null);
  'pause_ended'?: (_berth_shim_PauseEnded__Output | null);
  'log_dropped'?: (_berth_shim_LogDropped__Output | null);
  'what'?: "container_exited"|"exec_exited"|"oom"|"attach_ended"|"pause_ended"|"log_dropped";
}
