// Original file: native/protocol/shim.proto


export interface Hello {
  'protocol'?: (number);
  'features'?: (string)[];
  'build_id'?: (string);
  'subscribe'?: (boolean);
}

export interface Hello__Output {
  'protocol': (number);
  'features': (string)[];
  'build_id': (string);
  'subscribe': (boolean);
}
