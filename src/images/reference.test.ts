import { describe, expect, it } from '@jest/globals';
import { defaultDomain, parseReference, repoDigestOf, repositoryOf, repoTagOf } from './reference.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

describe('image references', () => {
  it.each([
    ['busybox', `${defaultDomain}/library/busybox:latest`],
    ['busybox:1.36', `${defaultDomain}/library/busybox:1.36`],
    ['team/app', `${defaultDomain}/team/app:latest`],
    [`${defaultDomain}/busybox`, `${defaultDomain}/library/busybox:latest`],
    [`${defaultDomain}/team/app:v1`, `${defaultDomain}/team/app:v1`],
    [`index.${defaultDomain}/busybox`, `${defaultDomain}/library/busybox:latest`],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app:x', 'localhost:5000/app:x'],
    ['example.test/a/b/c:T_1.2-3', 'example.test/a/b/c:T_1.2-3'],
    ['UPPER/app', 'UPPER/app:latest'],
    ['[::1]:5000/app', '[::1]:5000/app:latest'],
    ['x/a_b__c.d-e---f', `${defaultDomain}/x/a_b__c.d-e---f:latest`],
  ])('%s is %s', (text, full) => {
    expect(repoTagOf(parseReference(text))).toBe(full);
  });

  it('takes a digest with and without a tag', () => {
    const bare = parseReference(`busybox@${digest}`);
    expect([repoTagOf(bare), repoDigestOf(bare)]).toEqual([undefined, `${defaultDomain}/library/busybox@${digest}`]);
    const both = parseReference(`localhost:5000/a:1@${digest}`);
    expect([repoTagOf(both), repoDigestOf(both)]).toEqual(['localhost:5000/a:1', `localhost:5000/a@${digest}`]);
    expect(repositoryOf(both)).toBe('localhost:5000/a');
  });

  it.each([
    '',
    '/',
    ':tag',
    'app:',
    'app@',
    'App',
    'a//b',
    'a/',
    '/a',
    'a/../b',
    'a..b',
    'a___b',
    '-a',
    'a-',
    'app:.tag',
    `app:${'t'.repeat(129)}`,
    'app@sha256:short',
    `app@md5:${'0'.repeat(32)}`,
    `app@sha256:${'A'.repeat(64)}`,
    'localhost:99999/app',
    'local host/app.x',
    'ex_ample.test/app',
    'a b',
    'a\nb',
    'https://example.test/app',
    'a'.repeat(256),
    'x'.repeat(10_000),
  ])('refuses %j', (text) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
