// Original file: native/protocol/shim.proto


export interface Attach {
  'container_id'?: (string);
}

export interface Attach__Output {
  'container_id': (string);
}
