// Original file: native/protocol/shim.proto


export interface ContainerCreated {
  'pid'?: (number);
  'warnings'?: (string)[];
}

export interface ContainerCreated__Output {
  'pid': (number);
  'warnings': (string)[];
}
