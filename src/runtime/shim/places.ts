import { BerthError } from '#base/errors';

/** native/shim/limits.h: a shim's connections for streams, and those that streams cannot take. */
const ofShim = { streams: 1024, reserved: 256 };
/** A shim without the feature "reserved-places" drops whoever comes as the 129th, without a word. */
const ofOlderShim = { streams: 96, reserved: 32 };
/** Of the reserved ones: berthd's own connection, and that of one that takes over. */
const ownConnections = 8;

/**
 * Who has a connection of its own to a pod's shim: execs with streams, attaches, and probes (ExecSync). The shim has the
 * same limits; here they are known before anything is made, also for shims of earlier versions.
 */
export class Places {
  #streams = 0;
  #probes = 0;

  /**
   * @param doing for the error's sentence
   * @returns gives the place back
   * @throws RESOURCE_EXHAUSTED
   */
  take(kind: 'stream' | 'probe', features: ReadonlySet<string>, doing: string): Disposable {
    const { streams, reserved } = features.has('reserved-places') ? ofShim : ofOlderShim;
    const all = streams + reserved - ownConnections;
    if (kind === 'stream' && this.#streams >= streams) {
      throw full(doing, `${streams} execs and attaches have streams in this pod, which is the limit`);
    }
    if (this.#streams + this.#probes >= all) {
      throw full(doing, `${all} execs and attaches are under way in this pod, which is the limit`);
    }
    this.#count(kind, 1);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#count(kind, -1);
        held = false;
      },
    };
  }

  #count(kind: 'stream' | 'probe', change: 1 | -1): void {
    if (kind === 'stream') this.#streams += change;
    else this.#probes += change;
  }
}

function full(doing: string, why: string): BerthError {
  return new BerthError('RESOURCE_EXHAUSTED', `${doing}: ${why}: end some first`);
}
