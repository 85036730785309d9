// Original file: native/protocol/shim.proto


export interface HelloReply {
  'protocol'?: (number);
  'features'?: (string)[];
  'build_id'?: (string);
  'boot_id'?: (string);
  'pod_id'?: (string);
  'pid'?: (number);
}

export interface HelloReply__Output {
  'protocol': (number);
  'features': (string)[];
  'build_id': (string);
  'boot_id': (string);
  'pod_id': (string);
  'pid': (number);
}
