import { describe, expect, test } from '@jest/globals';
import { BerthError } from '#base/errors';
import type { IDMapping__Output } from '#cri-api/gen/runtime/v1/IDMapping';
import type { NamespaceOption__Output } from '#cri-api/gen/runtime/v1/NamespaceOption';
import { namespaceOption } from './cri-config.fixture.ts';
import { checkOwnNamespaces, checkSameUsers, isIdmapped, userNamespace } from './user-namespace.ts';

const map = (host_id: number, container_id = 0, length = 65_536): IDMapping__Output => ({
  host_id,
  container_id,
  length,
});

const options = (
  mode: 'POD' | 'NODE' | 'CONTAINER' | 'TARGET',
  uids: IDMapping__Output[],
  gids = uids,
): NamespaceOption__Output => namespaceOption({ userns_options: { mode, uids, gids } });

const own = { uids: { hostId: 100_000, length: 65_536 }, gids: { hostId: 100_000, length: 65_536 } };

describe('the users of a pod', () => {
  test("are the node's without a word, and when it says so", () => {
    expect(userNamespace(null)).toBeUndefined();
    expect(userNamespace(namespaceOption({}))).toBeUndefined();
    expect(userNamespace(options('NODE', []))).toBeUndefined();
  });

  test('are one range from root', () => {
    expect(userNamespace(options('POD', [map(100_000)]))).toEqual(own);
  });

  test.each([
    ['no mapping', options('POD', [])],
    ['two', options('POD', [map(1), map(70_000, 65_536)])],
    ['one without root', options('POD', [map(1, 1)])],
    ['an empty one', options('POD', [map(1, 0, 0)])],
    ['one that ends beyond all ids', options('POD', [map(2 ** 32 - 10)])],
    ['no mapping of groups', options('POD', [map(1)], [])],
    ['mappings to the node', options('NODE', [map(1)])],
    ['mode CONTAINER', options('CONTAINER', [map(1)])],
    ['mode TARGET', options('TARGET', [map(1)])],
  ])('refuses %s', (_what, given) => {
    expect(() => userNamespace(given)).toThrow(BerthError);
  });

  test('need namespaces of their own', () => {
    expect(() => checkOwnNamespaces({ network: 'pod', ipc: 'pod', pid: 'container' })).not.toThrow();
    expect(() => checkOwnNamespaces({ network: 'node', ipc: 'pod', pid: 'node' })).toThrow('network and pid');
  });

  test('are those of every container', () => {
    expect(() => checkSameUsers(null, own)).not.toThrow();
    expect(() => checkSameUsers(options('POD', [map(100_000)]), own)).not.toThrow();
    expect(() => checkSameUsers(options('POD', [map(200_000)]), own)).toThrow('not that of its pod');
    expect(() => checkSameUsers(options('POD', [map(100_000)]), undefined)).toThrow('not that of its pod');
  });

  test('own a volume whose mappings are the same', () => {
    expect(isIdmapped([], [], own, 'mount /x')).toBe(false);
    expect(isIdmapped([map(100_000)], [map(100_000)], own, 'mount /x')).toBe(true);
    expect(() => isIdmapped([map(1)], [map(1)], own, 'mount /x')).toThrow('mount /x');
    expect(() => isIdmapped([map(1)], [map(1)], undefined, 'mount /x')).toThrow('mount /x');
  });
});
