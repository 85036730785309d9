import { BerthError } from '#base/errors';

/** The plugin's words: bits and bits a second. */
export interface Bandwidth {
  readonly ingressRate?: number;
  readonly ingressBurst?: number;
  readonly egressRate?: number;
  readonly egressBurst?: number;
}

const prefix = 'kubernetes.io/';
/** Kubernetes refuses rates outside of these. */
const smallest = 1000n;
const largest = 10n ** 15n;
/** As large as the plugin takes: the rate alone limits. */
const burst = 0xffff_ffff;

const powers: Readonly<Record<string, readonly [base: bigint, exponent: bigint]>> = {
  ...{ '': [10n, 0n], k: [10n, 3n], M: [10n, 6n], G: [10n, 9n], T: [10n, 12n], P: [10n, 15n], E: [10n, 18n] },
  ...{ Ki: [2n, 10n], Mi: [2n, 20n], Gi: [2n, 30n], Ti: [2n, 40n], Pi: [2n, 50n], Ei: [2n, 60n] },
  ...{ m: [10n, -3n], u: [10n, -6n], n: [10n, -9n] },
};

/** What the pod's annotations limit; undefined for nothing. @throws INVALID_ARGUMENT */
export function bandwidthOf(annotations: Readonly<Record<string, string>>): Bandwidth | undefined {
  const ingressRate = rate(annotations, 'ingress-bandwidth');
  const egressRate = rate(annotations, 'egress-bandwidth');
  if (ingressRate === undefined && egressRate === undefined) return undefined;
  return {
    ...(ingressRate === undefined ? {} : { ingressRate, ingressBurst: burst }),
    ...(egressRate === undefined ? {} : { egressRate, egressBurst: burst }),
  };
}

function rate(annotations: Readonly<Record<string, string>>, name: string): number | undefined {
  const text = annotations[prefix + name];
  if (text === undefined) return undefined;
  const value = quantity(text);
  if (value !== undefined && value >= smallest && value <= largest) return Number(value);
  throw new BerthError(
    'INVALID_ARGUMENT',
    `annotation ${prefix}${name} is ${JSON.stringify(text.slice(0, 40))}, not a rate from 1k to 1P bits a second`,
  );
}

/** Kubernetes' quantity, rounded up to a whole number; undefined when it is none. */
export function quantity(text: string): bigint | undefined {
  const match = /^\+?([0-9]{0,30})(?:\.([0-9]{0,30}))?(?:([kMGTPE]|[KMGTPE]i|[mun])|[eE]([+-]?[0-9]{1,2}))?$/.exec(
    text,
  );
  if (!match) return undefined;
  const [, whole = '', fraction = '', suffix = '', exponent] = match;
  if (whole === '' && fraction === '') return undefined;
  const [base, power] = exponent === undefined ? (powers[suffix] ?? [10n, 0n]) : [10n, BigInt(exponent)];
  let above = BigInt(whole + fraction);
  let below = 10n ** BigInt(fraction.length);
  if (power >= 0n) above *= base ** power;
  else below *= base ** -power;
  return (above + below - 1n) / below;
}
