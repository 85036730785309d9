import { describe, expect, it } from '@jest/globals';
import { parseConfig } from './config.ts';
import { parseUntrusted } from './untrusted.ts';

const config = (text: string | Uint8Array): ReturnType<typeof parseConfig>['config'] => {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  return parseConfig(bytes, 'sha256:1').config;
};
const inner = (text: string): ReturnType<typeof config> => config(`{"config":{${text}}}`);

// What Go's encoding/json makes of each was measured with containerd 2.4.2.
describe('keys as Go reads them', () => {
  it('finds a field whatever the case of its letters: no variable is lost', () => {
    expect(config('{"Config":{"env":["A=1"],"CMD":["sh"],"stopsignal":"SIGINT","\u017fhell":[]}}')).toMatchObject({
      env: ['A=1'],
      cmd: ['sh'],
      stopSignal: 'SIGINT',
    });
    const digest = `sha256:${'0'.repeat(64)}`;
    for (const key of ['rootfS', 'RootFS', 'ROOTFS']) {
      expect(parseConfig(Buffer.from(`{"${key}":{"Diff_IDs":["${digest}"]}}`), '').diffIds).toEqual([digest]);
    }
  });

  it('takes letters beyond ASCII for those that they fold to, and no others', () => {
    expect(inner('"volume\u017f":{"/a":{}}').volumes).toEqual(['/a']);
    expect(inner('"v\u00f6lumes":{"/a":{}},"env\u0131":["A=1"]')).toMatchObject({ volumes: [], env: [] });
  });

  it('keeps the keys of maps as they are', () => {
    expect(inner('"Labels":{"a":"1","A":"2"},"Volumes":{"/v":{},"/V":{}}')).toMatchObject({
      labels: { a: '1', A: '2' },
      volumes: ['/v', '/V'],
    });
  });

  it.each([
    ['"Env":["A=1"],"Env":["B=2"]', ['B=2']],
    ['"Env":["A=1"],"env":["B=2"]', ['B=2']],
    ['"env":["B=2"],"Env":["A=1"]', ['A=1']],
    ['"Env":["A=1"],"Env":null', []],
    ['"Env":null,"Env":["A=1"]', ['A=1']],
    ['"Env":[null,"A=1"]', ['', 'A=1']],
  ])('lets the later of two lists count: %s', (text, env) => {
    expect(inner(text).env).toEqual(env);
  });

  it('adds the fields of a second object to the first', () => {
    const twice = config('{"config":{"Env":["A=1"]},"Config":{"Cmd":["sh"]},"config":null,"config":{"User":"bob"}}');
    expect(twice).toMatchObject({ env: ['A=1'], cmd: ['sh'], user: 'bob' });
  });

  it('adds the entries of a second map to the first, which a null empties', () => {
    expect(inner('"Labels":{"a":"1","b":"2"},"labels":{"b":"3"}').labels).toEqual({ a: '1', b: '3' });
    expect(inner('"Labels":{"a":"1"},"Labels":null,"Labels":{"b":"2"}').labels).toEqual({ b: '2' });
  });

  it('leaves a text as it is where null comes after it', () => {
    expect(inner('"User":"bob","User":null').user).toBe('bob');
  });
});

describe('values as Go reads them', () => {
  it('takes null for nothing', () => {
    expect(inner('"User":null,"Env":null,"Volumes":null,"Labels":{"a":null}')).toMatchObject({
      ...{ user: '', env: [], volumes: [], labels: { a: '' } },
    });
    expect(config('{"config":null,"rootfs":null,"os":null,"OS":"Linux"}').os).toBe('Linux');
    expect(config('{"config":null,"rootfs":null,"os":null}')).toMatchObject({ env: [], os: '' });
  });

  it('puts U+FFFD for bytes that are no UTF-8', () => {
    const bytes = Buffer.concat([Buffer.from('{"config":{"Env":["A='), Buffer.of(0xe9), Buffer.from('"]}}')]);
    expect(config(bytes).env).toEqual(['A=\ufffd']);
  });

  it.each([
    ['"Env":"A=1"', 'Env of config of image config sha256:1 is not a list of at most'],
    ['"Env":[1]', 'Env of config of image config sha256:1 is not a list of strings'],
    ['"Env":{"A":"1"}', 'Env of config'],
    ['"Env":["A=1"],"env":7', 'env of config'],
    ['"Cmd":"sh"', 'Cmd of config'],
    ['"User":0', 'User of config of image config sha256:1 is not a string'],
    ['"Volumes":["/data"]', 'Volumes of config of image config sha256:1 is not a map'],
    ['"Labels":{"a":1}', 'Labels of config of image config sha256:1 is not a map of strings'],
    ['"StopSignal":15', 'StopSignal of config'],
  ])('refuses the wrong kind by the name of the field: %s', (text, words) => {
    expect(() => inner(text)).toThrow(new RegExp(words, 'i'));
  });

  it.each([
    ['{"os":"windows"}', 'image config sha256:1 is for "windows", not linux'],
    ['{"rootfs":{"type":"squashfs"}}', 'image config sha256:1 has a rootfs of type "squashfs"'],
    [
      '{"rootfs":{"diff_ids":["md5:00"]}}',
      'image config sha256:1 has a layer that is no sha256 or sha512 digest: md5:00',
    ],
  ])('refuses what it cannot be: %s', (text, words) => {
    expect(() => config(text)).toThrow(words);
  });

  it.each(['[]', '"text"', '7', 'null'])('refuses a document that is %s', (text) => {
    expect(() => parseUntrusted(Buffer.from(text), 'config x')).toThrow('config x is not an object');
  });

  it('refuses what is deeper, or more, than anybody means, and says so', () => {
    const deep = `{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`;
    expect(() => parseUntrusted(Buffer.from(deep), 'config x')).toThrow('config x is nested more than 10000 deep');
    const many = `{"a":[${'0,'.repeat(250_000)}0]}`;
    expect(() => parseUntrusted(Buffer.from(many), 'config x')).toThrow('config x has more than 250000 keys');
  });

  it('refuses what is no JSON', () => {
    expect(() => parseUntrusted(Buffer.from('{"a":'), 'config x')).toThrow('config x is not JSON');
  });
});
