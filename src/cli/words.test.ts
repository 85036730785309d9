import { describe, expect, test } from '@jest/globals';
import { bar } from './node.ts';
import { checkName, parseEnv, parseUser, parseVolume } from './run.ts';
import { age, bytes, table } from './table.ts';

describe('options of run', () => {
  test('an environment value is bytes and may hold anything', () => {
    expect(parseEnv('A=b=c')).toEqual({ key: 'A', value: Buffer.from('b=c') });
    expect(parseEnv('A=')).toEqual({ key: 'A', value: Buffer.alloc(0) });
    expect(() => parseEnv('=x')).toThrow('expected NAME=VALUE');
    expect(() => parseEnv('')).toThrow('expected NAME=VALUE');
    expect(parseEnv('A', { A: 'here' })).toEqual({ key: 'A', value: Buffer.from('here') });
    expect(() => parseEnv('A', {})).toThrow('A is not set here: say what it is (A=VALUE)');
  });

  test('a volume has source, target and how', () => {
    expect(parseVolume('/a:/b')).toEqual({
      host_path: '/a',
      container_path: '/b',
      readonly: false,
      propagation: 'PROPAGATION_PRIVATE',
    });
    expect(parseVolume('/a:/b:ro,rshared')).toMatchObject({
      readonly: true,
      propagation: 'PROPAGATION_BIDIRECTIONAL',
    });
    expect(() => parseVolume('a:/b')).toThrow('expected /SOURCE:/TARGET');
    expect(() => parseVolume('/a:/b:rw,noexec')).toThrow('OPTIONS of ro, rw, rprivate, rslave, rshared, not noexec');
    expect(() => parseVolume('/a:/b:ro:z')).toThrow('expected /SOURCE:/TARGET');
  });

  test('a name is a host name and part of a path', () => {
    for (const name of ['a', 'web-1', 'a.b_c', 'x'.repeat(63)]) expect(() => checkName(name)).not.toThrow();
    for (const name of ['', '-a', '.', '../..', 'a/b', 'a b', 'x'.repeat(64), 'é']) {
      expect(() => checkName(name)).toThrow(/^--name .*: expected 1 to 63 letters/);
    }
    expect(() => checkName('x'.repeat(5_000))).toThrow(/^.{0,300}$/);
  });

  test('a user is a number or a name', () => {
    expect(parseUser(undefined)).toEqual({});
    expect(parseUser('1000')).toEqual({ run_as_user: { value: '1000' } });
    expect(parseUser('1000:50')).toEqual({ run_as_user: { value: '1000' }, run_as_group: { value: '50' } });
    expect(parseUser('www-data')).toEqual({ run_as_username: 'www-data' });
    expect(() => parseUser('')).toThrow('expected NAME, UID or UID:GID');
  });
});

describe('what lists show', () => {
  test('columns are aligned and lines end without spaces', () => {
    expect(
      table([
        ['ID', 'NAME'],
        ['123', ''],
      ]),
    ).toBe('ID   NAME\n123');
  });

  test.each([
    [5, '5 seconds'],
    [60, '1 minute'],
    [7300, '2 hours'],
    [200_000, '2 days'],
    [-3, '0 seconds'],
  ])('%d seconds are "%s"', (seconds, text) => {
    const now = 1_700_000_000_000;
    expect(age(String(BigInt(now - seconds * 1000) * 1_000_000n), now)).toBe(text);
  });

  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [4_300_000, '4.3 MB'],
    [123_000_000, '123 MB'],
  ])('%d bytes are "%s"', (count, text) => {
    expect(bytes(count)).toBe(text);
  });

  test('a bar never leaves its frame', () => {
    expect(bar({ layer: 'sha256:0123456789abcdef', bytes: 15, total: 10 })).toBe(
      `0123456789abc [${'#'.repeat(30)}] 15 B of 10 B`,
    );
    expect(bar({})).toContain(`[${'-'.repeat(30)}]`);
  });
});
