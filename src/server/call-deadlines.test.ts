import { EventEmitter } from 'node:events';
import type * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { systemClock } from '#base/clock';
import { raceSignal } from '#base/deadline';
import { BerthError } from '#base/errors';
import { silentLogger } from '#base/log';
import { createMetrics } from '#base/metrics';
import type { CriCall } from './call-policies.ts';
import { CallHandler } from './handle-call.ts';
import type { StreamHandler, UnaryHandler } from './handler.ts';
import { ReadyGate } from './ready-gate.ts';

// What happens to callers that set no deadline of their own; they are made by hand, so that no time passes.

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

function newHandler(): CallHandler {
  const gate = new ReadyGate();
  gate.open();
  return new CallHandler({
    gate,
    log: silentLogger,
    metrics: createMetrics(),
    clock: systemClock,
    fullDisks: () => '',
  });
}

class PatientCall extends EventEmitter {
  cancelled = false;
  request = {};
  readonly ended = Promise.withResolvers<unknown>();

  getDeadline(): number {
    return Infinity;
  }

  end(): void {
    this.ended.resolve('end');
  }
}

const never: UnaryHandler<object, object, object> = async (ctx) => {
  ctx.stage('network');
  await raceSignal(new Promise(() => undefined), ctx.signal);
  return {};
};

function callUnary(calls: CallHandler, method: CriCall, handler = never): Promise<unknown> {
  return new Promise((resolve) => {
    const call = new PatientCall() as unknown as grpc.ServerUnaryCall<object, object>;
    calls.unary(method, handler, {})(call, (error) => resolve(error));
  });
}

describe('without a deadline of the client', () => {
  test('the method has its own, and the answer says where the call was', async () => {
    const answer = callUnary(newHandler(), 'RemovePodSandbox');
    await jest.advanceTimersByTimeAsync(119_000);
    await jest.advanceTimersByTimeAsync(1_001);
    expect(await answer).toEqual({
      code: 4,
      details: 'RemovePodSandbox did not finish in 120000 ms; it was at "network"',
    });
  });

  test('a handler that knows what it waited for says so in the answer', async () => {
    const knows: UnaryHandler<object, object, object> = async (ctx) => {
      ctx.stage('start');
      try {
        return await raceSignal(new Promise<object>(() => undefined), ctx.signal);
      } catch (cause) {
        throw new BerthError('DEADLINE_EXCEEDED', 'the shim does not answer', { cause });
      }
    };
    const answer = callUnary(newHandler(), 'StartContainer', knows);
    await jest.advanceTimersByTimeAsync(120_001);
    expect(await answer).toEqual({ code: 4, details: 'the shim does not answer; it was at "start"' });
  });

  test('what lasts as long as its request says is not cut', async () => {
    let ended = false;
    void callUnary(newHandler(), 'StopContainer').then(() => (ended = true));
    await jest.advanceTimersByTimeAsync(24 * 3600 * 1000);
    expect(ended).toBe(false);
  });
});

test('event streams end at shutdown, other calls do not', async () => {
  const calls = newHandler();
  const call = new PatientCall();
  call.on('error', (error) => call.ended.resolve(error));
  const events: StreamHandler<object, object, object> = async function* (ctx) {
    yield* [];
    await raceSignal(new Promise(() => undefined), ctx.signal);
  };
  calls.stream('GetContainerEvents', events, {})(call as unknown as grpc.ServerWritableStream<object, object>);
  let answered = false;
  void callUnary(calls, 'StopContainer').then(() => (answered = true));
  await jest.advanceTimersByTimeAsync(1000);
  calls.endWatches();
  expect(await call.ended.promise).toEqual({ code: 14, details: 'berthd is shutting down' });
  await jest.advanceTimersByTimeAsync(1000);
  expect(answered).toBe(false);
});
