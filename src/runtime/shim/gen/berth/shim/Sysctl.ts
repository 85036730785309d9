// Original file: native/protocol/shim.proto


export interface Sysctl {
  'name'?: (string);
  'value'?: (string);
}

export interface Sysctl__Output {
  'name': (string);
  'value': (string);
}
