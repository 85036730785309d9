// Original file: native/protocol/shim.proto


export interface DeleteContainer {
  'id'?: (string);
}

export interface DeleteContainer__Output {
  'id': (string);
}
