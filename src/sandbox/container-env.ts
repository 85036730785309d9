import { BerthError } from '#base/errors';
import type { KeyValue__Output } from '#cri-api/gen/runtime/v1/KeyValue';
import type { ImageConfig } from '#images/image-store';

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** One byte per character: what the process will see, whatever the bytes mean. */
export const toBytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

export interface EnvInput {
  readonly image: Pick<ImageConfig, 'env'>;
  readonly requested: readonly KeyValue__Output[];
  readonly hostname: string;
  readonly home: string;
  readonly tty: boolean;
}

/**
 * The environment of a container, NAME=value with one byte per character. The request wins over the image, the image
 * over what Berth adds. Values are bytes (KeyValue.value) and are never decoded.
 */
export function containerEnv(input: EnvInput): readonly string[] {
  const env = new Map<string, string>();
  env.set('PATH', defaultPath);
  env.set('HOSTNAME', toBytes(input.hostname));
  if (input.tty) env.set('TERM', 'xterm');
  for (const line of input.image.env) {
    const at = line.indexOf('=');
    // An image may hold anything: what is no assignment is no environment.
    if (at > 0) env.set(toBytes(line.slice(0, at)), toBytes(line.slice(at + 1)));
  }
  for (const { key, value } of input.requested) {
    checkName(key);
    if (value.includes(0)) throw new BerthError('INVALID_ARGUMENT', `environment variable ${key} has a zero byte`);
    env.set(toBytes(key), value.toString('latin1'));
  }
  if ((env.get('HOME') ?? '') === '') env.set('HOME', toBytes(input.home));
  return [...env].map(([name, value]) => `${name}=${value}`);
}

function checkName(name: string): void {
  if (name === '' || name.includes('=') || name.includes('\0')) {
    throw new BerthError(
      'INVALID_ARGUMENT',
      `environment variable name ${JSON.stringify(name.slice(0, 64))} is not allowed`,
    );
  }
}

/** What is executed: a command of the request drops the image's CMD as well as its ENTRYPOINT. */
export function containerArgs(
  command: readonly string[],
  args: readonly string[],
  image: Pick<ImageConfig, 'entrypoint' | 'cmd'>,
): readonly string[] {
  const entrypoint = command.length > 0 ? command : image.entrypoint;
  const rest = command.length > 0 || args.length > 0 ? args : image.cmd;
  const all = [...entrypoint, ...rest];
  if (all.length === 0 || all[0] === '') {
    throw new BerthError('INVALID_ARGUMENT', 'no command: neither the request nor the image names one');
  }
  return all.map(toBytes);
}
