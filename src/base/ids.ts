import { randomBytes } from 'node:crypto';

/** Makes ids of pods and containers; injected so that tests can name them. */
export interface IdSource {
  next(): string;
}

/** 64 hex digits, as every CRI client expects. */
export const randomIds: IdSource = { next: () => randomBytes(32).toString('hex') };

const idPattern = /^[0-9a-f]{64}$/;

export function isId(text: string): boolean {
  return idPattern.test(text);
}

/** The 13 digits people see. */
export function shortId(id: string): string {
  return id.slice(0, 13);
}
