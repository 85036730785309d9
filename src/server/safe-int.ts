import { BerthError } from '#base/errors';

// 64-bit integers arrive and leave as decimal strings. What is counted in JavaScript numbers goes through toSafeInt;
// nanoseconds and "unlimited" become bigint.

/**
 * A 64-bit field as a number.
 *
 * @param field names it in the error
 * @throws INVALID_ARGUMENT beyond 2^53, where numbers lose their last digits
 */
export function toSafeInt(field: string, value: string): number {
  const number = Number(toBigInt(field, value));
  if (Number.isSafeInteger(number)) return number;
  throw new BerthError('INVALID_ARGUMENT', `${field} is ${value}: more than Berth can count (2^53)`);
}

/** A 64-bit field as it is. Throws INVALID_ARGUMENT. */
export function toBigInt(field: string, value: string): bigint {
  if (/^-?\d{1,20}$/.test(value)) return BigInt(value);
  throw new BerthError('INVALID_ARGUMENT', `${field} is not an integer`);
}

/** For a 64-bit field of an answer. A number that is not an integer would be cut silently by the encoder. */
export function toInt64(value: bigint | number): string {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new BerthError('INTERNAL', `${value} is not an integer that can be sent`);
  }
  return value.toString();
}
