// Original file: native/protocol/shim.proto


export interface ExecExited {
  'exec_id'?: (string);
  'exit_code'?: (number);
  'timed_out'?: (boolean);
}

export interface ExecExited__Output {
  'exec_id': (string);
  'exit_code': (number);
  'timed_out': (boolean);
}
