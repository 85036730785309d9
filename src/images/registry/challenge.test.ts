import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseChallenges } from './challenge.ts';

const plain = (header: string | string[] | undefined): unknown =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe('parseChallenges', () => {
  it.each<[string | string[] | undefined, unknown]>([
    [undefined, []],
    ['', []],
    ['Basic realm="x"', [['basic', { realm: 'x' }]]],
    [
      'Bearer realm="https://auth.test/token?a=b,c",service="reg",scope="repository:a/b:pull,push"',
      [['bearer', { realm: 'https://auth.test/token?a=b,c', service: 'reg', scope: 'repository:a/b:pull,push' }]],
    ],
    [
      'Negotiate, Basic realm="a", BEARER Realm = "b" , service=c',
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b', service: 'c' }],
      ],
    ],
    [
      ['Basic realm="a"', 'Bearer realm="b"'],
      [
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b' }],
      ],
    ],
    [
      'Negotiate dG9rZW4=, Basic realm="a"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    [String.raw`Basic realm="with \"quotes\" and \\"`, [['basic', { realm: String.raw`with "quotes" and \ `.trim() }]]],
    ['Bearer realm="one",realm="two"', [['bearer', { realm: 'one' }]]],
    ['Bearer realm="no end', [['bearer', { realm: 'no end' }]]],
    ['realm="without a scheme"', []],
    [
      'Bearer realm=https://auth.test/token?a=b,service=reg',
      [['bearer', { realm: 'https://auth.test/token?a=b', service: 'reg' }]],
    ],
    [
      ['Negotiate', 'NTLM', 'bearer realm="b",,scope="repository:a:pull repository:b:pull",error="invalid_token"'],
      [
        ['negotiate', {}],
        ['ntlm', {}],
        ['bearer', { realm: 'b', scope: 'repository:a:pull repository:b:pull', error: 'invalid_token' }],
      ],
    ],
    [
      'Digest realm="d", nonce=abc==, qop="auth,auth-int", Basic realm="b"',
      [
        ['digest', { nonce: 'abc==', qop: 'auth,auth-int' }],
        ['basic', { realm: 'b' }],
      ],
    ],
  ])('reads %j', (header, expected) => {
    expect(plain(header)).toMatchObject(expected as object);
    expect(parseChallenges(header).length).toBe((expected as unknown[]).length);
  });

  it('reads back whatever a quoted string can hold', () => {
    const text = fc.string({ maxLength: 60 });
    fc.assert(
      fc.property(text, text, (realm, service) => {
        const quote = (value: string): string => `"${value.replace(/[\\"]/g, '\\$&')}"`;
        const [challenge] = parseChallenges(`Bearer realm=${quote(realm)}, service=${quote(service)}`);
        expect(challenge?.parameters.get('realm')).toBe(realm);
        expect(challenge?.parameters.get('service')).toBe(service);
      }),
    );
  });

  it('ends, whatever it is given', () => {
    fc.assert(fc.property(fc.string({ maxLength: 300 }), (text) => void parseChallenges(text)));
    expect(parseChallenges('Basic a=b,'.repeat(10_000)).length).toBeLessThan(1000);
  });
});
