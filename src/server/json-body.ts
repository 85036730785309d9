import type { IncomingMessage } from 'node:http';
import { BerthError } from '#base/errors';

export type JsonBody = Readonly<Record<string, unknown>>;

const longest = 64 * 1024;

/** A request's body as an object; nothing at all is an empty one. Throws INVALID_ARGUMENT. */
export async function readJsonBody(request: IncomingMessage): Promise<JsonBody> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > longest) throw new BerthError('INVALID_ARGUMENT', `the request is longer than ${longest} bytes`);
    parts.push(part);
  }
  if (length === 0) return {};
  const value = parse(Buffer.concat(parts).toString('utf8'));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BerthError('INVALID_ARGUMENT', 'the request is not a JSON object');
  }
  return value as JsonBody;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BerthError('INVALID_ARGUMENT', 'the request is not JSON', { cause });
  }
}
