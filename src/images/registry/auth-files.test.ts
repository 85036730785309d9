import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { defaultDomain } from '../reference.ts';
import { AuthFiles, parseAuthFile } from './auth-files.ts';
import { ClientBench } from './client-bench.fixture.ts';

const auth = (user: string): { auth: string } => ({ auth: Buffer.from(`${user}:secret`).toString('base64') });

describe('AuthFiles', () => {
  let bench: ClientBench;
  beforeEach(async () => {
    bench = await ClientBench.open();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  const userOf = async (files: readonly string[], host: string, repository: string): Promise<string | undefined> => {
    const login = await new AuthFiles().find(files, host, repository);
    return login?.kind === 'basic' ? login.username : login?.kind;
  };

  it('finds a host in the forms that tools write, the longest namespace first', async () => {
    const file = await bench.file(
      'auth.json',
      JSON.stringify({
        auths: {
          'reg.test': auth('host'),
          'reg.test/team': auth('team'),
          'reg.test/team/app': auth('app'),
          'https://old.test:5000/v2/': auth('old'),
          [`https://index.${defaultDomain}/v1/`]: auth('default'),
          'token.test': { identitytoken: 'x', ...auth('ignored') },
          'empty.test': {},
        },
        credHelpers: { 'helper.test': 'not-run' },
      }),
    );
    const of = (host: string, repository = 'a/b') => userOf([file], host, repository);
    expect(await of('reg.test')).toBe('host');
    expect(await of('reg.test', 'team/x')).toBe('team');
    expect(await of('reg.test', 'team/app')).toBe('app');
    expect(await of('reg.test', 'teamwork/app')).toBe('host');
    expect(await of('old.test:5000')).toBe('old');
    expect(await of('old.test')).toBeUndefined();
    expect(await of(`registry-1.${defaultDomain}`)).toBe('default');
    expect(await of('token.test')).toBe('refresh');
    expect(await of('empty.test')).toBeUndefined();
    expect(await of('helper.test')).toBeUndefined();
  });

  it('finds names in any case, and hosts of a second list, as the tools that write them do', async () => {
    const [one, two] = ['one', 'two'].map((user) => auth(user).auth);
    const text = `{"Auths":{"a.test":{"AUTH":"${one}"},"A.test":{"Username":"u","PASSWORD":"p"}},"auths":{"b.test":{"auth":"x","Auth":"${two}"}}}`;
    const file = await bench.file('cases.json', text);
    expect(await userOf([file], 'a.test', 'x')).toBe('u');
    expect(await userOf([file], 'b.test', 'x')).toBe('two');
    const exact = await bench.file('exact.json', `{"auths":{"a.test":{"AUTH":"${one}"}}}`);
    expect(await userOf([exact], 'a.test', 'x')).toBe('one');
  });

  it('asks the files in order and does without those that are missing', async () => {
    const one = await bench.file('one.json', JSON.stringify({ auths: { 'a.test': auth('one') } }));
    const two = await bench.file(
      'two.json',
      JSON.stringify({ auths: { 'a.test': auth('two'), 'b.test': auth('two') } }),
    );
    const files = ['/nonexistent/auth.json', one, two];
    expect(await userOf(files, 'a.test', 'x')).toBe('one');
    expect(await userOf(files, 'b.test', 'x')).toBe('two');
    expect(await userOf(files, 'c.test', 'x')).toBeUndefined();
  });
});

describe('parseAuthFile', () => {
  it.each([
    '{"auths":{"a.test":{"auth":"c2VjcmV0"}}}',
    '{secret',
    '{"auths":{"a.test":{"registrytoken":"secret\\n"}}}',
  ])('refuses %j without repeating what it holds', (text) => {
    let error: unknown;
    try {
      parseAuthFile(text, '/etc/auth.json');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('/etc/auth.json') });
    expect(String(error)).not.toContain('secret');
    expect(String(error)).not.toContain('c2Vj');
  });

  it.each(['[]', 'null', '{}', '{"auths":[]}', '{"auths":{"a":5}}'])('finds nothing in %s', (text) => {
    expect(parseAuthFile(text, 'f').size).toBe(0);
  });
});
