// Original file: native/protocol/shim.proto

import type { Long } from '@grpc/proto-loader';

export interface Oom {
  'container_id'?: (string);
  'count'?: (number | string | Long);
}

export interface Oom__Output {
  'container_id': (string);
  'count': (string);
}
