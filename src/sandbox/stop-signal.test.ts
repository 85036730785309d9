import { describe, expect, test } from '@jest/globals';
import { chooseStopSignal, parseSignal, signalName } from './stop-signal.ts';

describe('signals', () => {
  test.each([
    ['TERM', 15],
    ['SIGTERM', 15],
    ['sigusr1', 10],
    ['9', 9],
    ['SIGRTMIN', 34],
    ['SIGRTMIN+3', 37],
    ['RTMAX-14', 50],
    ['SIGCLD', 17],
  ])('%s is %d', (text, number) => {
    expect(parseSignal(text)).toBe(number);
  });

  test.each(['', '0', '65', '-1', 'NOPE', 'SIGRTMIN+31', 'SIGRTMIN-1', 'toString'])('%j is none', (text) => {
    expect(parseSignal(text)).toBeUndefined();
  });

  test('every signal of the protocol has a number, and every number a name of the protocol', () => {
    for (let number = 1; number <= 64; number++) {
      const name = signalName(number);
      if (number === 32 || number === 33) expect(name).toBe('SIGNAL_RUNTIME_DEFAULT');
      else expect(chooseStopSignal(name, '')).toBe(number);
    }
    expect(signalName(36)).toBe('SIGNAL_SIGRTMINPLUS2');
    expect(signalName(63)).toBe('SIGNAL_SIGRTMAXMINUS1');
  });

  test("the request's, else the image's, else SIGTERM", () => {
    expect(chooseStopSignal('SIGNAL_SIGINT', 'SIGQUIT')).toBe(2);
    expect(chooseStopSignal('SIGNAL_RUNTIME_DEFAULT', 'SIGQUIT')).toBe(3);
    expect(chooseStopSignal('SIGNAL_RUNTIME_DEFAULT', '')).toBe(15);
  });

  test.each(['SIGFOO', '0', '99', 'SIGRTMIN+99', '-1', 'sig term', '9.5', '0x9', 'x'.repeat(5000)])(
    'a container of an image whose STOPSIGNAL is %j can be created: SIGTERM, with a warning',
    (text) => {
      const warned: string[] = [];
      expect(chooseStopSignal('SIGNAL_RUNTIME_DEFAULT', text, (message) => warned.push(message))).toBe(15);
      expect(warned).toEqual([expect.stringMatching(/^the image's STOPSIGNAL ".{1,34}" is no signal/)]);
      // The request's own is checked as before.
      expect(() => chooseStopSignal('SIGNAL_SIGFOO', text)).toThrow('unknown stop_signal');
    },
  );
});
