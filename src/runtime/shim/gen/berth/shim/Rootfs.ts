// Original file: native/protocol/shim.proto


export interface Rootfs {
  'layers_dir'?: (string);
  'lowers'?: (string)[];
  'upper'?: (string);
  'work'?: (string);
  'options'?: (string);
  'bind'?: (string);
  'readonly'?: (boolean);
  'volumes'?: (string)[];
}

export interface Rootfs__Output {
  'layers_dir': (string);
  'lowers': (string)[];
  'upper': (string);
  'work': (string);
  'options': (string);
  'bind': (string);
  'readonly': (boolean);
  'volumes': (string)[];
}
