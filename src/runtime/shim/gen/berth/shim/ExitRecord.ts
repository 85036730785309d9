// Original file: native/protocol/shim.proto

import type { Long } from '@grpc/proto-loader';

export interface ExitRecord {
  'container_id'?: (string);
  'exit_code'?: (number);
  'signal'?: (number);
  'oom_killed'?: (boolean);
  'finished_at_ns'?: (number | string | Long);
  'started_at_ns'?: (number | string | Long);
}

export interface ExitRecord__Output {
  'container_id': (string);
  'exit_code': (number);
  'signal': (number);
  'oom_killed': (boolean);
  'finished_at_ns': (string);
  'started_at_ns': (string);
}
