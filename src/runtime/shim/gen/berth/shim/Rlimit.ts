// Original file: native/protocol/shim.proto

import type { Long } from '@grpc/proto-loader';

export interface Rlimit {
  'resource'?: (number);
  'soft'?: (number | string | Long);
  'hard'?: (number | string | Long);
}

export interface Rlimit__Output {
  'resource': (number);
  'soft': (string);
  'hard': (string);
}
