// Original file: native/protocol/shim.proto


export interface IdMap {
  'container_id'?: (number);
  'host_id'?: (number);
  'length'?: (number);
}

export interface IdMap__Output {
  'container_id': (number);
  'host_id': (number);
  'length': (number);
}
