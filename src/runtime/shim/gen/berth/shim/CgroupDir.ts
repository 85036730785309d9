// Original file: native/protocol/shim.proto


export interface CgroupDir {
  'dir'?: (string);
  'v2'?: (boolean);
}

export interface CgroupDir__Output {
  'dir': (string);
  'v2': (boolean);
}
