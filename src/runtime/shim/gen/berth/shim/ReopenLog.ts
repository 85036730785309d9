// Original file: native/protocol/shim.proto


export interface ReopenLog {
  'container_id'?: (string);
}

export interface ReopenLog__Output {
  'container_id': (string);
}
