// Original file: native/protocol/shim.proto

import type { NsMode as _berth_shim_NsMode, NsMode__Output as _berth_shim_NsMode__Output } from '../../berth/shim/NsMode.ts';

export interface CreateContainer {
  'requires'?: (string)[];
  'id'?: (string);
  'plan'?: (Buffer | Uint8Array | string);
  'pid'?: (_berth_shim_NsMode);
  'pid_target_id'?: (string);
  'kill_dir'?: (string);
  'kill_dir_v2'?: (boolean);
  'oom_file'?: (string);
  'log_path'?: (string);
  'tty'?: (boolean);
  'stdin'?: (boolean);
  'stdin_once'?: (boolean);
  'setup_timeout_ms'?: (number);
}

export interface CreateContainer__Output {
  'requires': (string)[];
  'id': (string);
  'plan': (Buffer);
  'pid': (_berth_shim_NsMode__Output);
  'pid_target_id': (string);
  'kill_dir': (string);
  'kill_dir_v2': (boolean);
  'oom_file': (string);
  'log_path': (string);
  'tty': (boolean);
  'stdin': (boolean);
  'stdin_once': (boolean);
  'setup_timeout_ms': (number);
}
