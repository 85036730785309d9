import { describe, expect, test } from '@jest/globals';
import { containerArgs, containerEnv, type EnvInput } from './container-env.ts';

const env = (changes: Partial<EnvInput> = {}): Record<string, string> =>
  Object.fromEntries(
    containerEnv({ image: { env: [] }, requested: [], hostname: 'web', home: '/root', tty: false, ...changes }).map(
      (line) => {
        const at = line.indexOf('=');
        return [line.slice(0, at), line.slice(at + 1)];
      },
    ),
  );

describe('the environment of a container', () => {
  test('nothing given: PATH, HOSTNAME and HOME', () => {
    expect(Object.keys(env()).sort()).toEqual(['HOME', 'HOSTNAME', 'PATH']);
    expect(env().HOME).toBe('/root');
  });

  test('TERM with a terminal, unless somebody set it', () => {
    expect(env({ tty: true }).TERM).toBe('xterm');
    expect(env({ tty: true, image: { env: ['TERM=dumb'] } }).TERM).toBe('dumb');
  });

  test('the request wins over the image, the image over defaults', () => {
    const result = env({
      image: { env: ['PATH=/image', 'A=image', 'B=image', 'not an assignment', '=x'] },
      requested: [{ key: 'A', value: Buffer.from('request') }],
    });
    expect(result).toMatchObject({ PATH: '/image', A: 'request', B: 'image' });
    expect(Object.keys(result)).not.toContain('');
  });

  test('bytes that are no UTF-8 arrive unchanged', () => {
    expect(env({ requested: [{ key: 'RAW', value: Buffer.from([0xff, 0x00 + 1, 0xc3]) }] }).RAW).toBe('\xff\x01\xc3');
    expect(env({ image: { env: ['U=ä'] } }).U).toBe('\xc3\xa4');
  });

  test.each(['', 'A=B', 'A\0'])('the name %j is refused', (key) => {
    expect(() => env({ requested: [{ key, value: Buffer.from('x') }] })).toThrow('not allowed');
  });

  test('a value with a zero byte is refused: execve would cut it', () => {
    expect(() => env({ requested: [{ key: 'A', value: Buffer.from([0]) }] })).toThrow('zero byte');
  });
});

describe('what is executed', () => {
  const image = { entrypoint: ['/entry'], cmd: ['a', 'b'] };
  test.each([
    [[], [], ['/entry', 'a', 'b']],
    [[], ['x'], ['/entry', 'x']],
    [['/cmd'], [], ['/cmd']],
    [['/cmd'], ['x'], ['/cmd', 'x']],
  ])('command %j and args %j give %j', (command, args, expected) => {
    expect(containerArgs(command, args, image)).toEqual(expected);
  });

  test('nothing to run is refused', () => {
    expect(() => containerArgs([], [], { entrypoint: [], cmd: [] })).toThrow('no command');
  });
});
