import { lookup as dnsLookup } from 'node:dns/promises';
import { connect as netConnect, isIP, type Socket } from 'node:net';
import { Deadline, raceSignal } from '#base/deadline';
import { errnoOf } from '#base/errors';
import { Unreached, type AddressFailure } from './network-failure.ts';

/** What of the network is needed to reach a host; tests have others. */
export interface Wires {
  /** Addresses in the order of RFC 6724, as getaddrinfo sorts them. */
  lookup(host: string): Promise<readonly Address[]>;
  /** A socket that is connecting. */
  connect(address: Address, port: number): Socket;
}

export interface Address {
  readonly address: string;
  readonly family: number;
}

export const realWires: Wires = {
  lookup: (host) => dnsLookup(host, { all: true, order: 'verbatim' }),
  connect: ({ address, family }, port) =>
    netConnect({ ...{ host: address, family, port, noDelay: true, autoSelectFamily: false }, ...keepAlive }),
};

const keepAlive = { keepAlive: true, keepAliveInitialDelay: 60_000 };

/** A resolver that loses questions answers after some ten seconds; then the time for connecting begins. */
const lookupMs = 30_000;
/** RFC 8305, section 5: after this long the next address is tried as well. */
const attemptDelayMs = 250;
const leastDelayMs = 10;
const maxAddresses = 32;

/**
 * A connection to whichever address of the host answers first: RFC 8305. An attempt is not given up because the next one
 * begins; a host further away than the delay is reached like any other, also when one of its families leads nowhere.
 *
 * @param limitMs for connecting, without looking up the name
 * @throws Unreached, or an error of the lookup
 */
export async function connectFirst(host: string, port: number, limitMs: number, wires: Wires): Promise<Socket> {
  const addresses = inTurn(await addressesOf(host, wires)).slice(0, maxAddresses);
  return await new Promise<Socket>((resolve, reject) => {
    new Race({ addresses, port, limitMs, wires, resolve, reject }).begin();
  });
}

async function addressesOf(host: string, wires: Wires): Promise<readonly Address[]> {
  const family = isIP(host);
  if (family > 0) return [{ address: host, family }];
  using patience = new Deadline(lookupMs, 'looking up a host name');
  let found: readonly Address[];
  try {
    found = await raceSignal(wires.lookup(host), patience.signal);
  } catch (error) {
    throw patience.signal.aborted ? Object.assign(new Error('no answer'), { code: 'EAI_AGAIN' }) : error;
  }
  if (found.length === 0) throw Object.assign(new Error('no addresses'), { code: 'ENOTFOUND' });
  return found;
}

/** The families by turns, beginning with that of the first address. */
function inTurn(addresses: readonly Address[]): readonly Address[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family);
  const longer = first.length > second.length ? first : second;
  return longer.flatMap((_, index) => [first[index], second[index]]).filter((one) => one !== undefined);
}

interface RaceOptions {
  readonly addresses: readonly Address[];
  readonly port: number;
  readonly limitMs: number;
  readonly wires: Wires;
  resolve(socket: Socket): void;
  reject(error: Error): void;
}

class Race {
  readonly #options: RaceOptions;
  readonly #waiting: Address[];
  readonly #running = new Map<Socket, Address>();
  readonly #failures: AddressFailure[] = [];
  readonly #delayMs: number;
  #next: NodeJS.Timeout | undefined;
  #limit: NodeJS.Timeout | undefined;

  constructor(options: RaceOptions) {
    this.#options = options;
    this.#waiting = [...options.addresses];
    // With many addresses each gets its turn before the time is over.
    const share = options.limitMs / options.addresses.length;
    this.#delayMs = Math.max(leastDelayMs, Math.min(attemptDelayMs, share));
  }

  begin(): void {
    this.#limit = setTimeout(() => this.#timeIsUp(), this.#options.limitMs);
    this.#tryNext();
  }

  #tryNext(): void {
    clearTimeout(this.#next);
    const address = this.#waiting.shift();
    if (!address) return;
    if (this.#waiting.length > 0) this.#next = setTimeout(() => this.#tryNext(), this.#delayMs);
    let socket: Socket;
    try {
      socket = this.#options.wires.connect(address, this.#options.port);
    } catch (error) {
      this.#failed(address, error);
      return;
    }
    this.#running.set(socket, address);
    socket.once('connect', () => this.#won(socket));
    socket.once('error', (error) => {
      if (this.#running.delete(socket)) this.#failed(address, error);
    });
  }

  #won(socket: Socket): void {
    if (!this.#running.delete(socket)) return;
    this.#end();
    socket.removeAllListeners('error');
    this.#options.resolve(socket);
  }

  /** The next one need not wait for its turn. */
  #failed({ address }: Address, error: unknown): void {
    this.#failures.push({ address, code: errnoOf(error) ?? 'EIO' });
    if (this.#waiting.length > 0) this.#tryNext();
    else if (this.#running.size === 0) this.#lost();
  }

  #timeIsUp(): void {
    for (const { address } of this.#running.values()) this.#failures.push({ address, code: 'ETIMEDOUT' });
    this.#lost();
  }

  #lost(): void {
    this.#end();
    this.#options.reject(new Unreached(mostTelling(this.#failures), this.#failures));
  }

  #end(): void {
    clearTimeout(this.#next);
    clearTimeout(this.#limit);
    this.#waiting.length = 0;
    for (const socket of this.#running.keys()) {
      socket.on('error', () => undefined);
      socket.destroy();
    }
    this.#running.clear();
  }
}

/** That this machine has no route for a family says little when the host said no by the other. */
function mostTelling(failures: readonly AddressFailure[]): string {
  const codes = failures.map(({ code }) => code);
  const routes = /^(ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL|EAFNOSUPPORT|EINVAL)$/;
  return codes.find((code) => !routes.test(code)) ?? codes[0] ?? 'ETIMEDOUT';
}
