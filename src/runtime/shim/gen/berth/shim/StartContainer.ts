// Original file: native/protocol/shim.proto


export interface StartContainer {
  'id'?: (string);
}

export interface StartContainer__Output {
  'id': (string);
}
