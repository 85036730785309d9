// Original file: native/protocol/shim.proto

import type { Rlimit as _berth_shim_Rlimit, Rlimit__Output as _berth_shim_Rlimit__Output } from '../../berth/shim/Rlimit.ts';
import type { Long } from '@grpc/proto-loader';

export interface Process {
  'args'?: (Buffer | Uint8Array | string)[];
  'env'?: (Buffer | Uint8Array | string)[];
  'cwd'?: (string);
  'create_cwd'?: (boolean);
  'uid'?: (number);
  'gid'?: (number);
  'groups'?: (number)[];
  'umask'?: (number);
  'cap_bounding'?: (number | string | Long);
  'cap_effective'?: (number | string | Long);
  'cap_permitted'?: (number | string | Long);
  'cap_inheritable'?: (number | string | Long);
  'cap_ambient'?: (number | string | Long);
  'rlimits'?: (_berth_shim_Rlimit)[];
  'no_new_privs'?: (boolean);
  'seccomp'?: (Buffer | Uint8Array | string);
  'seccomp_flags'?: (number);
  'set_oom_score_adj'?: (boolean);
  'oom_score_adj'?: (number);
  'tty'?: (boolean);
  'rows'?: (number);
  'columns'?: (number);
  'apparmor_profile'?: (string);
  'selinux_label'?: (string);
}

export interface Process__Output {
  'args': (Buffer)[];
  'env': (Buffer)[];
  'cwd': (string);
  'create_cwd': (boolean);
  'uid': (number);
  'gid': (number);
  'groups': (number)[];
  'umask': (number);
  'cap_bounding': (string);
  'cap_effective': (string);
  'cap_permitted': (string);
  'cap_inheritable': (string);
  'cap_ambient': (string);
  'rlimits': (_berth_shim_Rlimit__Output)[];
  'no_new_privs': (boolean);
  'seccomp': (Buffer);
  'seccomp_flags': (number);
  'set_oom_score_adj': (boolean);
  'oom_score_adj': (number);
  'tty': (boolean);
  'rows': (number);
  'columns': (number);
  'apparmor_profile': (string);
  'selinux_label': (string);
}
