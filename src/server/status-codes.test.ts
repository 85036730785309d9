import { status } from '@grpc/grpc-js';
import { describe, expect, test } from '@jest/globals';
import { errorCodes, type ErrorCode } from '#base/error-codes';
import { BerthError } from '#base/errors';
import { statusName, toStatus } from './status-codes.ts';

const expected: Readonly<Record<ErrorCode, keyof typeof status>> = {
  INVALID_ARGUMENT: 'INVALID_ARGUMENT',
  NOT_FOUND: 'NOT_FOUND',
  ALREADY_EXISTS: 'ALREADY_EXISTS',
  FAILED_PRECONDITION: 'FAILED_PRECONDITION',
  UNIMPLEMENTED: 'UNIMPLEMENTED',
  IMAGE_INVALID: 'FAILED_PRECONDITION',
  START_ERROR: 'FAILED_PRECONDITION',
  PATH_UNRESPONSIVE: 'DEADLINE_EXCEEDED',
  DEADLINE_EXCEEDED: 'DEADLINE_EXCEEDED',
  CANCELLED: 'CANCELLED',
  UNAUTHENTICATED: 'UNAUTHENTICATED',
  PERMISSION_DENIED: 'PERMISSION_DENIED',
  RESOURCE_EXHAUSTED: 'RESOURCE_EXHAUSTED',
  UNAVAILABLE: 'UNAVAILABLE',
  SHIM_DIED: 'ABORTED',
  STATE_LOCKED: 'FAILED_PRECONDITION',
  STATE_CORRUPT: 'DATA_LOSS',
  KERNEL: 'INTERNAL',
  NETWORK_FAILED: 'INTERNAL',
  CONFIG_INVALID: 'FAILED_PRECONDITION',
  INTERNAL: 'INTERNAL',
};

describe('toStatus', () => {
  test.each(Object.keys(errorCodes) as ErrorCode[])('%s', (code) => {
    const { code: number, details } = toStatus(new BerthError(code, 'why', { details: { path: '/secret' } }));
    expect(statusName(number)).toBe(expected[code]);
    expect(details).toBe('why');
  });

  test('no error is OK or UNKNOWN', () => {
    const codes = (Object.keys(errorCodes) as ErrorCode[]).map((code) => toStatus(new BerthError(code, '')).code);
    expect(codes).not.toContain(status.OK);
    expect(codes).not.toContain(status.UNKNOWN);
  });

  test('a sentence without end is cut: it travels in a header', () => {
    expect(toStatus(new BerthError('INTERNAL', 'x'.repeat(100_000))).details).toHaveLength(4096);
  });
});
