// Original file: native/protocol/shim.proto


export interface KillExec {
  'exec_id'?: (string);
}

export interface KillExec__Output {
  'exec_id': (string);
}
