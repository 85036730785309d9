import { describe, expect, test } from '@jest/globals';
import { mirrorsOf, reachSettings, sourcesList } from './sources.ts';

describe('the sources of a fresh root', () => {
  const targets = `http://one.example/debian/ bookworm
http://one.example/debian/ bookworm-updates
http://two.example/debian-security/ bookworm-security
http://three.example/other/ stable
`;

  test('are the machine’s own mirrors, for another release, with updates and security updates', () => {
    const mirrors = mirrorsOf(targets, 'bookworm');
    expect(mirrors).toEqual({ main: 'http://one.example/debian/', security: 'http://two.example/debian-security/' });
    const keys = '[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]';
    expect(sourcesList(mirrors!, 'trixie')).toBe(
      `deb ${keys} http://one.example/debian/ trixie main
deb ${keys} http://one.example/debian/ trixie-updates main
deb ${keys} http://two.example/debian-security/ trixie-security main
`,
    );
  });

  test('have no security updates where the machine has none', () => {
    expect(mirrorsOf('http://one.example/debian/ trixie\n', 'trixie')).toEqual({
      main: 'http://one.example/debian/',
      security: undefined,
    });
  });

  test('are not guessed where apt knows no archive of the machine’s release', () => {
    expect(mirrorsOf(targets, 'noble')).toBeUndefined();
  });
});

test('proxies and clocks of the machine’s apt are taken over, nothing else', () => {
  const dump = `APT::Architecture "amd64";
Acquire "";
Acquire::Check-Date "false";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::Proxy "";
Acquire::Languages:: "none";
Dir::Etc "etc/apt";
`;
  expect(reachSettings(dump)).toBe(`Acquire::Check-Date "false";
Acquire::http::Proxy "http://proxy.example:3128";
`);
});
