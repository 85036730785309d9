// Original file: native/protocol/shim.proto


export interface AttachEnded {
  'container_id'?: (string);
  'slow'?: (boolean);
}

export interface AttachEnded__Output {
  'container_id': (string);
  'slow': (boolean);
}
