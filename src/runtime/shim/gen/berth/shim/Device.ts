// Original file: native/protocol/shim.proto


export interface Device {
  'path'?: (string);
  'type'?: (number);
  'major'?: (number);
  'minor'?: (number);
  'mode'?: (number);
  'uid'?: (number);
  'gid'?: (number);
  'source'?: (string);
  'by_default'?: (boolean);
}

export interface Device__Output {
  'path': (string);
  'type': (number);
  'major': (number);
  'minor': (number);
  'mode': (number);
  'uid': (number);
  'gid': (number);
  'source': (string);
  'by_default': (boolean);
}
