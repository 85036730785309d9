import type httpTypes from 'node:http';
import { http } from '#base/node-http';
import { BerthError, errnoOf } from '#base/errors';
import { errorCodes, type ErrorCode } from '#base/error-codes';
import type { StatePaths } from '#config/slices';

export type AdminLine = Readonly<Record<string, unknown>>;

/** berthd's admin socket: HTTP with JSON lines, for what the CRI has no words for. */
export class AdminClient {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /**
   * Sends a request and hands over each line of the answer as it comes; gives the last one.
   *
   * @throws BerthError what berthd answered, or UNAVAILABLE when it does not
   */
  async call(
    method: 'GET' | 'POST',
    path: string,
    body?: object,
    onLine?: (line: AdminLine) => void,
  ): Promise<AdminLine> {
    const response = await this.#send(method, path, body);
    response.setEncoding('utf8');
    let rest = '';
    let last: AdminLine = {};
    const take = (line: string): void => {
      if (line.trim() === '') return;
      last = parseLine(line);
      onLine?.(last);
    };
    for await (const part of response as AsyncIterable<string>) {
      const lines = (rest + part).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(take);
    }
    take(rest);
    if ('error' in last) throw toError(last['error'], path);
    if (response.statusCode !== 200) {
      throw new BerthError('INTERNAL', `berthd answered ${path} with HTTP status ${response.statusCode ?? 0}`);
    }
    return last;
  }

  /** What lies on the machine that berthd does not own. */
  async check(): Promise<readonly string[]> {
    const { strays } = await this.call('GET', '/check');
    if (!Array.isArray(strays)) throw new BerthError('INTERNAL', 'berthd answered /check without a list');
    return strays.map((stray) => (typeof stray === 'string' ? stray : JSON.stringify(stray)));
  }

  async paths(): Promise<StatePaths> {
    const reply = await this.call('GET', '/config');
    const config = (reply['config'] ?? reply) as { readonly paths?: StatePaths };
    if (config.paths?.root === undefined) throw new BerthError('INTERNAL', 'berthd answered /config without its paths');
    return config.paths;
  }

  #send(method: string, path: string, body: object | undefined): Promise<httpTypes.IncomingMessage> {
    return new Promise((resolve, reject) => {
      const request = http.request({ socketPath: this.#socketPath, method, path, agent: false }, resolve);
      request.on('error', (error) => reject(this.#unreachable(error)));
      if (body) request.setHeader('content-type', 'application/json');
      request.end(body ? JSON.stringify(body) : undefined);
    });
  }

  #unreachable(error: Error): BerthError {
    const errno = errnoOf(error);
    const path = this.#socketPath;
    if (errno === 'EACCES') {
      return new BerthError('UNAVAILABLE', `no permission for ${path}: berth has to run as root`, { cause: error });
    }
    return new BerthError('UNAVAILABLE', `cannot reach berthd at ${path} (${errno ?? error.message})`, {
      cause: error,
      details: { socket: path },
    });
  }
}

function parseLine(line: string): AdminLine {
  try {
    return JSON.parse(line) as AdminLine;
  } catch (cause) {
    throw new BerthError('INTERNAL', `berthd answered with something else than JSON: ${line.slice(0, 200)}`, { cause });
  }
}

function toError(error: unknown, path: string): BerthError {
  const { code, message } = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  const known = typeof code === 'string' && Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : 'INTERNAL';
  return new BerthError(known, typeof message === 'string' ? message : `${path} failed`);
}
