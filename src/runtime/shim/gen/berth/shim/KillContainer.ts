// Original file: native/protocol/shim.proto


export interface KillContainer {
  'id'?: (string);
  'signal'?: (number);
  'all'?: (boolean);
}

export interface KillContainer__Output {
  'id': (string);
  'signal': (number);
  'all': (boolean);
}
