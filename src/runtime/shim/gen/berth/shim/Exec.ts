// Original file: native/protocol/shim.proto


export interface Exec {
  'container_id'?: (string);
  'exec_id'?: (string);
  'process'?: (Buffer | Uint8Array | string);
  'timeout_ms'?: (number);
  'tty'?: (boolean);
  'probe'?: (boolean);
}

export interface Exec__Output {
  'container_id': (string);
  'exec_id': (string);
  'process': (Buffer);
  'timeout_ms': (number);
  'tty': (boolean);
  'probe': (boolean);
}
