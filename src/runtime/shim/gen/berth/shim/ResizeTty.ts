// Original file: native/protocol/shim.proto


export interface ResizeTty {
  'container_id'?: (string);
  'exec_id'?: (string);
  'columns'?: (number);
  'rows'?: (number);
}

export interface ResizeTty__Output {
  'container_id': (string);
  'exec_id': (string);
  'columns': (number);
  'rows': (number);
}
