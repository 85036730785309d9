// Original file: native/protocol/shim.proto

import type { Long } from '@grpc/proto-loader';

export interface LogDropped {
  'container_id'?: (string);
  'bytes'?: (number | string | Long);
}

export interface LogDropped__Output {
  'container_id': (string);
  'bytes': (string);
}
