// Original file: native/protocol/shim.proto

import type { Long } from '@grpc/proto-loader';

export interface PodStarted {
  'pause_pid'?: (number);
  'started_at_ns'?: (number | string | Long);
}

export interface PodStarted__Output {
  'pause_pid': (number);
  'started_at_ns': (string);
}
