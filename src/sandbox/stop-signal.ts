import { constants } from 'node:os';
import { BerthError } from '#base/errors';

const sigrtMin = 34;
const sigrtMax = 64;
const aliases: Readonly<Record<string, number>> = { SIGCLD: constants.signals.SIGCHLD };

/** The number of "TERM", "SIGTERM", "15", "SIGRTMIN+3" or "RTMAX-2"; undefined when it is none. */
export function parseSignal(text: string): number | undefined {
  const word = text.trim().toUpperCase();
  if (/^[0-9]{1,2}$/.test(word)) {
    const number = Number(word);
    return number >= 1 && number <= sigrtMax ? number : undefined;
  }
  const name = word.startsWith('SIG') ? word : `SIG${word}`;
  const realtime = /^SIGRT(MIN|MAX)(?:([+-])([0-9]{1,2}))?$/.exec(name);
  if (realtime) {
    const [, end, sign, distance = '0'] = realtime;
    if (sign !== undefined && sign !== (end === 'MIN' ? '+' : '-')) return undefined;
    const number = end === 'MIN' ? sigrtMin + Number(distance) : sigrtMax - Number(distance);
    return number >= sigrtMin && number <= sigrtMax ? number : undefined;
  }
  if (Object.hasOwn(aliases, name)) return aliases[name];
  return Object.hasOwn(constants.signals, name) ? constants.signals[name as NodeJS.Signals] : undefined;
}

/**
 * The request's signal, else the image's, else SIGTERM. What an image has that is no signal is passed over with a
 * warning, as by the peers: they find out when they stop it, and an author's slip is no reason not to run.
 *
 * @throws INVALID_ARGUMENT for a signal of the request that does not exist
 */
export function chooseStopSignal(
  requested: string | number,
  imageSignal: string,
  warn: (message: string) => void = () => undefined,
): number {
  if (requested !== 'SIGNAL_RUNTIME_DEFAULT') {
    // A number that the CRI has no name for arrives as one.
    const name = String(requested)
      .replace(/^SIGNAL_/, '')
      .replace('PLUS', '+')
      .replace('MINUS', '-');
    const signal = parseSignal(name);
    if (signal === undefined) throw new BerthError('INVALID_ARGUMENT', `unknown stop_signal ${requested}`);
    return signal;
  }
  if (imageSignal === '') return constants.signals.SIGTERM;
  const signal = parseSignal(imageSignal);
  if (signal !== undefined) return signal;
  warn(`the image's STOPSIGNAL ${JSON.stringify(imageSignal.slice(0, 32))} is no signal: SIGTERM is sent instead`);
  return constants.signals.SIGTERM;
}

const cannotBeNamed = new Set(['SIGIOT', 'SIGPOLL', 'SIGUNUSED', 'SIGCLD']);

/** The CRI's name of a signal. */
export function signalName(signal: number): string {
  if (signal === sigrtMin) return 'SIGNAL_SIGRTMIN';
  if (signal === sigrtMax) return 'SIGNAL_SIGRTMAX';
  if (signal > sigrtMin && signal <= sigrtMin + 15) return `SIGNAL_SIGRTMINPLUS${signal - sigrtMin}`;
  if (signal > sigrtMin && signal < sigrtMax) return `SIGNAL_SIGRTMAXMINUS${sigrtMax - signal}`;
  for (const [name, number] of Object.entries(constants.signals)) {
    if (number === signal && !cannotBeNamed.has(name)) return `SIGNAL_${name}`;
  }
  return 'SIGNAL_RUNTIME_DEFAULT';
}
