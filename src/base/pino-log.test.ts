import { describe, expect, test } from '@jest/globals';
import { BerthError } from './errors.ts';
import { createPinoLog, prettyLine, type LogStream } from './pino-log.ts';

class Reader implements LogStream {
  writableLength = 0;
  readonly lines: string[] = [];
  stuck = false;

  write(text: string, done?: () => void): boolean {
    if (this.stuck) this.writableLength += text.length;
    if (text !== '') this.lines.push(text);
    if (!this.stuck) done?.();
    return !this.stuck;
  }

  get last(): Record<string, unknown> {
    return JSON.parse(this.lines.at(-1) ?? '{}') as Record<string, unknown>;
  }
}

describe('createPinoLog', () => {
  test('a line has time, level, fields of every parent and the message', () => {
    const stream = new Reader();
    const log = createPinoLog({ level: 'info', stream });
    log.child({ requestId: 'r1' }).child({ podId: 'p1' }).info({ ms: 3 }, 'pod runs');
    expect(stream.last).toMatchObject({ level: 'info', requestId: 'r1', podId: 'p1', ms: 3, msg: 'pod runs' });
    expect(stream.last['time']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  test('the level can be changed and reaches children that exist', () => {
    const stream = new Reader();
    const log = createPinoLog({ level: 'info', stream });
    const child = log.child({});
    child.debug({}, 'no');
    log.setLevel('debug');
    child.debug({}, 'yes');
    expect(stream.lines).toHaveLength(1);
  });

  test('an error has its code, details and causes; a stack only when it is a bug', () => {
    const stream = new Reader();
    const log = createPinoLog({ level: 'info', stream });
    const cause = new Error('inner', { cause: 'text' });
    log.error({ err: new BerthError('NOT_FOUND', 'no pod abc', { cause, details: { id: 'abc' } }) }, 'failed');
    expect(stream.last['err']).toEqual({
      message: 'no pod abc',
      code: 'NOT_FOUND',
      details: { id: 'abc' },
      causes: ['inner', 'text'],
    });
    log.error({ err: new TypeError('x is not a function') }, 'failed');
    expect(stream.last['err']).toHaveProperty('stack');
  });

  test('a reader that stands still costs lines, which are counted and reported when it reads again', () => {
    const stream = new Reader();
    stream.stuck = true;
    const log = createPinoLog({ level: 'info', stream, maxPendingBytes: 500 });
    for (let index = 0; index < 100; index += 1) log.info({ index }, 'a line');
    expect(log.dropped).toBeGreaterThan(80);
    expect(stream.writableLength).toBeLessThanOrEqual(500);
    stream.stuck = false;
    stream.writableLength = 0;
    log.info({}, 'back');
    expect(JSON.parse(stream.lines.at(-2) ?? '')).toMatchObject({ lines: log.dropped, msg: 'log lines were dropped' });
  });

  test('flush waits for the reader, but not for ever', async () => {
    const stream = new Reader();
    const log = createPinoLog({ level: 'info', stream });
    await log.flush(60_000);
    stream.stuck = true;
    await log.flush(5);
  });
});

test('a line for people puts the message first', () => {
  const line = prettyLine('{"level":"warn","time":"2026-11-21T12:42:07.120Z","podId":"ab","n":"a b","msg":"slow"}\n');
  expect(line).toBe('12:42:07.120 warn  slow  podId=ab  n="a b"\n');
});
