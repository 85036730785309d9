import { describe, expect, test } from '@jest/globals';
import { podConfig, podWith } from './cri-config.fixture.ts';
import { hostsText, resolvConfText } from './pod-files.ts';
import { podInput, interfaceSysctls } from './pod-spec.ts';

describe('a pod in the runtime’s words', () => {
  test('nothing said: everything of its own, one pid namespace', () => {
    expect(podInput('p', podConfig(), 'node')).toMatchObject({
      network: 'pod',
      ipc: 'pod',
      pid: 'pod',
      uts: 'pod',
      hostname: 'web',
    });
  });

  test('the node’s network brings the node’s name', () => {
    expect(podInput('p', podWith({ network: 'NODE' }), 'node')).toMatchObject({
      network: 'node',
      uts: 'node',
      hostname: 'node',
      sysctls: {},
    });
  });

  test.each([
    [{ network: 'CONTAINER' as const }, 'network namespace mode CONTAINER'],
    [{ ipc: 'TARGET' as const }, 'ipc namespace mode TARGET'],
    [{ pid: 'TARGET' as const }, 'pid namespace mode TARGET'],
  ])('%j is refused', (namespaces, message) => {
    expect(() => podInput('p', podWith(namespaces), 'node')).toThrow(message);
  });

  test('users of its own come with a group range for ping that exists among them', () => {
    const range = [{ host_id: 65_536, container_id: 0, length: 65_536 }];
    const input = podInput('p', podWith({ userns_options: { mode: 'POD', uids: range, gids: range } }), 'node');
    expect(input.users).toEqual({
      uids: { hostId: 65_536, length: 65_536 },
      gids: { hostId: 65_536, length: 65_536 },
    });
    expect(input.sysctls['net.ipv4.ping_group_range']).toBe('0 65535');
  });

  test('a long name without a hostname is cut to a label', () => {
    const name = `${'x'.repeat(62)}-${'y'.repeat(40)}`;
    const metadata = { name, uid: 'u', namespace: 'd', attempt: 0 };
    expect(podInput('p', podConfig({ metadata }), 'node').hostname).toBe('x'.repeat(62));
  });

  test.each([
    ['a b', 'white space'],
    ['a/b', 'a slash'],
    ['a\nb', 'a control character'],
    ['x'.repeat(65), 'has 65 bytes, at most 64 are possible'],
    ['é'.repeat(33), 'has 66 bytes, at most 64 are possible'],
  ])('hostname %j is refused, and it is said why', (hostname, why) => {
    expect(() => podInput('p', podConfig({ hostname }), 'node')).toThrow(why);
  });

  test('a hostname of 64 bytes is taken', () => {
    expect(podInput('p', podConfig({ hostname: 'é'.repeat(32) }), 'node').hostname).toBe('é'.repeat(32));
  });
});

describe('sysctls of a pod', () => {
  const sysctls = (values: Record<string, string>, namespaces = {}): Readonly<Record<string, string>> =>
    podInput('p', podWith(namespaces, { sysctls: values }), 'node').sysctls;

  test('low ports and ping are open in its own network, and can be closed again', () => {
    expect(sysctls({})['net.ipv4.ip_unprivileged_port_start']).toBe('0');
    expect(sysctls({ 'net.ipv4.ip_unprivileged_port_start': '1024' })['net.ipv4.ip_unprivileged_port_start']).toBe(
      '1024',
    );
  });

  test('redirects are refused, unless they are asked for', () => {
    expect(sysctls({})['net.ipv4.conf.all.accept_redirects']).toBe('0');
    expect(sysctls({ 'net/ipv4/conf/all/accept_redirects': '1' })['net.ipv4.conf.all.accept_redirects']).toBe('1');
  });

  test('those of an interface are not made before it is there', () => {
    const given = {
      'net.ipv6.conf.eth0.accept_ra': '1',
      'net.ipv4.neigh.eth0.base_reachable_time_ms': '2',
      'net/ipv4/conf/eth0.100/forwarding': '3',
      'net.ipv4.conf.net1/7.forwarding': '4',
    };
    const others = { 'net.ipv4.conf.all.rp_filter': '1', 'net.ipv6.conf.default.hop_limit': '1' };
    expect(interfaceSysctls(podWith({}, { sysctls: { ...given, ...others } }))).toEqual({
      ...{ 'net.ipv6.conf.eth0.accept_ra': '1', 'net.ipv4.neigh.eth0.base_reachable_time_ms': '2' },
      ...{ 'net.ipv4.conf.eth0/100.forwarding': '3', 'net.ipv4.conf.net1/7.forwarding': '4' },
    });
    expect(sysctls({ ...given, ...others })).toEqual({ ...sysctls({}), ...others });
    expect(() => interfaceSysctls(podWith({ network: 'NODE' }, { sysctls: given }))).toThrow('not kept per pod');
  });

  test.each([['net.core.somaxconn'], ['kernel.shm_rmid_forced'], ['fs.mqueue.msg_max'], ['kernel.domainname']])(
    '%s is kept per namespace',
    (name) => {
      expect(Object.values(sysctls({ [name]: '1' }))).toContain('1');
    },
  );

  test.each(['kernel.core_pattern', 'vm.swappiness', 'kernel.hostname', 'fs.file-max', 'user.max_user_namespaces'])(
    '%s would set the node’s',
    (name) => {
      expect(() => sysctls({ [name]: '1' })).toThrow('not kept per pod');
    },
  );

  test('a namespace of the node is not touched', () => {
    expect(() => sysctls({ 'net.core.somaxconn': '1' }, { network: 'NODE' })).toThrow('not kept per pod');
    expect(() => sysctls({ 'kernel.shmmax': '1' }, { ipc: 'NODE' })).toThrow('not kept per pod');
    expect(() => sysctls({ 'fs.mqueue.msg_max': '1' }, { ipc: 'NODE' })).toThrow('not kept per pod');
    expect(() => sysctls({ 'kernel.domainname': 'x' }, { network: 'NODE' })).toThrow('not kept per pod');
    expect(() => sysctls({ 'net.ipv4.conf.eth0.forwarding': '1' }, { network: 'NODE' })).toThrow('not kept per pod');
  });

  test.each([
    'net..x',
    '../x',
    'net.a b',
    'net',
    '',
    'net.x\n',
    'net/../kernel/core_pattern',
    'net.core/x',
    'net/ipv4/conf/../x/y',
    'net.ipv4.conf.eth0/.x',
  ])('name %j is refused', (name) => {
    expect(() => sysctls({ [name]: '1' })).toThrow(/not allowed|not kept/);
  });

  test.each(['1+kernel.core_pattern=|/x', 'a=b', '1\nkernel.x=1'])('value %j is refused (CVE-2022-0811)', (value) => {
    expect(() => sysctls({ 'net.core.somaxconn': value })).toThrow('not allowed');
  });
});

describe('files of a pod', () => {
  test('hosts names the pod by each of its addresses', () => {
    expect(hostsText('web', ['10.1.2.3', 'fd00::3'])).toContain('10.1.2.3\tweb\nfd00::3\tweb\n');
  });

  test('resolv.conf from the DNS config', () => {
    expect(resolvConfText({ servers: ['10.0.0.10'], searches: ['a.b', 'c'], options: ['ndots:5'] })).toBe(
      'search a.b c\nnameserver 10.0.0.10\noptions ndots:5\n',
    );
  });

  test('a word that would start a line of its own is refused', () => {
    expect(() => resolvConfText({ servers: ['1.1.1.1\nnameserver 6.6.6.6'], searches: [], options: [] })).toThrow(
      'white space',
    );
  });
});
