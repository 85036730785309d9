// Original file: native/protocol/shim.proto

import type { Long } from '@grpc/proto-loader';

export interface ContainerStarted {
  'started_at_ns'?: (number | string | Long);
}

export interface ContainerStarted__Output {
  'started_at_ns': (string);
}
