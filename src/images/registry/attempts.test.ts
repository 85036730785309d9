import { describe, expect, it } from '@jest/globals';
import { BerthError } from '#base/errors';
import type { ErrorCode } from '#base/error-codes';
import { withEndpoints, type AttemptOptions } from './attempts.ts';
import type { Endpoint } from './endpoint.ts';
import { Setback } from './setback.ts';

const endpoint = (host: string): Endpoint => ({ host }) as Endpoint;
const may = (code: ErrorCode = 'UNAVAILABLE', waitMs = 0): Setback =>
  new Setback(new BerthError(code, code), true, waitMs);
const final = (code: ErrorCode): Setback => new Setback(new BerthError(code, code));

/** What each host does, attempt by attempt: an error, or nothing for success. Gives the hosts in the order asked. */
async function run(
  hosts: Readonly<Record<string, () => void>>,
  options: Partial<AttemptOptions> = {},
): Promise<{ asked: string[]; error?: unknown }> {
  const asked: string[] = [];
  const call = { signal: new AbortController().signal, note: () => undefined, unknownKeys: () => undefined };
  const endpoints = Object.keys(hosts).map(endpoint);
  const all = { attempts: 4, what: 'it', backOffMs: 1, endpoints, ...options };
  try {
    await withEndpoints(call, all, async ({ host }) => {
      asked.push(host);
      hosts[host]!();
    });
    return { asked };
  } catch (error) {
    return { asked, error };
  }
}

const fails = (setback: Setback) => (): never => {
  throw setback;
};
const works = (): void => undefined;

describe('withEndpoints', () => {
  it('asks one host as often as it may', async () => {
    expect(await run({ a: fails(may()) })).toMatchObject({
      asked: ['a', 'a', 'a', 'a'],
      error: { code: 'UNAVAILABLE' },
    });
    expect(await run({ a: fails(final('NOT_FOUND')) })).toMatchObject({ asked: ['a'], error: { code: 'NOT_FOUND' } });
  });

  it('asks a mirror twice and leaves the rest to the registry', async () => {
    expect((await run({ m: fails(may()), r: fails(may()) })).asked).toEqual(['m', 'm', 'r', 'r']);
    expect((await run({ m: fails(final('NOT_FOUND')), r: works })).asked).toEqual(['m', 'r']);
  });

  it('asks the registry at least once, however many mirrors are dead', async () => {
    const dead = fails(may());
    expect((await run({ m1: dead, m2: dead, m3: dead, r: works })).asked).toEqual(['m1', 'm1', 'm2', 'm2', 'm3', 'r']);
  });

  it('does not wait for a mirror that wants to be left alone', async () => {
    expect((await run({ m: fails(may('UNAVAILABLE', 60_000)), r: works })).asked).toEqual(['m', 'r']);
  });

  it.each<ErrorCode>(['CANCELLED', 'CONFIG_INVALID'])('ends with %s, which no other host can mend', async (code) => {
    expect(await run({ m: fails(final(code)), r: works })).toMatchObject({ asked: ['m'], error: { code } });
  });

  it('starts counting anew after enough progress', async () => {
    let bytes = 0;
    const moves = (): void => {
      bytes += 1024 * 1024;
      if (bytes < 10 * 1024 * 1024) throw may();
    };
    expect((await run({ a: moves }, { progress: () => bytes })).asked.length).toBe(10);
    bytes = 0;
    const crawls = (): never => {
      bytes += 1024;
      throw may();
    };
    expect((await run({ a: crawls }, { progress: () => bytes })).asked.length).toBe(4);
  });

  it('takes an error nobody foresaw for a broken connection', async () => {
    const odd = (): never => {
      throw Object.assign(new Error('secret'), { code: 'ECONNRESET' });
    };
    expect(await run({ a: odd })).toMatchObject({
      asked: ['a', 'a', 'a', 'a'],
      error: { message: 'it: a: connection broken' },
    });
  });
});
