// Original file: native/protocol/shim.proto


export interface ExecStarted {
  'pid'?: (number);
}

export interface ExecStarted__Output {
  'pid': (number);
}
