// Original file: native/protocol/shim.proto


export interface AckExit {
  'container_id'?: (string);
}

export interface AckExit__Output {
  'container_id': (string);
}
