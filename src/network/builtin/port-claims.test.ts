import { describe, expect, test } from '@jest/globals';
import type { PortMapping } from '../pod-network.ts';
import { PortClaims } from './port-claims.ts';
import { forwardsOf, hostPorts, overlap } from './port-forwards.ts';

const mapping = (hostIp = '', more: Partial<PortMapping> = {}): PortMapping => ({
  ...{ protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp },
  ...more,
});
const port = (...args: Parameters<typeof mapping>) => hostPorts([mapping(...args)])[0]!;

describe('two host ports are rivals', () => {
  test.each([
    ['', '', true],
    ['', '127.0.0.1', true],
    ['', '::', true],
    ['0.0.0.0', '192.0.2.1', true],
    ['0.0.0.0', '::', false],
    ['0.0.0.0', '2001:db8::1', false],
    ['192.0.2.1', '127.0.0.1', false],
    ['2001:db8::1', '2001:0db8:0:0::1', true],
  ])('of %j and %j: %s', (one, other, rivals) => {
    expect(overlap(port(one), port(other))).toBe(rivals);
    expect(overlap(port(other), port(one))).toBe(rivals);
  });

  test('never of different protocols or numbers', () => {
    expect(overlap(port(), port('', { protocol: 'udp' }))).toBe(false);
    expect(overlap(port(), port('', { hostPort: 8081 }))).toBe(false);
  });
});

describe('claims', () => {
  test('the second pod is told who has the port, and gets none of its ports', () => {
    const claims = new PortClaims();
    claims.take('first', [port()]);
    const both = [port('', { hostPort: 9090 }), port('127.0.0.1')];
    expect(() => claims.take('second', both)).toThrow(
      expect.objectContaining({
        code: 'FAILED_PRECONDITION',
        message: 'host port tcp 8080 of 127.0.0.1 is in use: pod first has tcp 8080',
      }),
    );
    claims.take('third', [port('', { hostPort: 9090 })]);
    claims.release('first');
    claims.take('second', [port('127.0.0.1')]);
    expect(() => claims.take('fourth', [port('0.0.0.0')])).toThrow('pod second has tcp 8080 of 127.0.0.1');
  });

  test('a late release frees nothing of another pod, and none is left at the end', () => {
    const claims = new PortClaims();
    claims.take('first', [port()]);
    claims.release('first');
    claims.take('second', [port()]);
    claims.release('first');
    expect(() => claims.take('third', [port()])).toThrow('pod second');
    claims.release('second');
    expect(claims.empty).toBe(true);
  });
});

describe('what a pod asks for', () => {
  test('is taken once, however often it is said', () => {
    expect(hostPorts([mapping(), mapping(), mapping('127.0.0.1')])).toHaveLength(2);
  });

  test.each([
    ['no address', [mapping('localhost')], '"localhost" is not an address'],
    ['a zone', [mapping('fe80::1%eth0')], 'is not an address'],
    ['IPv6 localhost', [mapping('::1')], 'use 127.0.0.1'],
    ['two meanings', [mapping(), mapping('', { containerPort: 81 })], 'leads to its ports 80 and 81'],
    ['too many', Array.from({ length: 1001 }, (_, at) => mapping('', { hostPort: at + 1 })), 'may have 1000'],
  ])('is refused: %s', (_what, mappings, message) => {
    expect(() => hostPorts(mappings)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => hostPorts(mappings)).toThrow(message);
  });

  test('leads to the addresses there are, of the family that it names', () => {
    const addresses = ['10.89.0.2', 'fd89::2'];
    const podAddresses = (hostIp: string) => forwardsOf([port(hostIp)], addresses).map((each) => each.podAddress);
    expect(podAddresses('')).toEqual(addresses);
    expect(podAddresses('0.0.0.0')).toEqual(['10.89.0.2']);
    expect(podAddresses('::')).toEqual(['fd89::2']);
    expect(forwardsOf([port('127.0.0.1')], addresses)).toMatchObject([{ hostAddress: '127.0.0.1', family: 4 }]);
    const mapped = forwardsOf([port('::ffff:192.0.2.1')], addresses);
    expect(mapped).toMatchObject([{ hostAddress: '192.0.2.1', family: 4, podAddress: '10.89.0.2' }]);
    expect(forwardsOf([port('::ffff:0.0.0.0')], addresses)).toMatchObject([{ hostAddress: '', family: 4 }]);
    expect(() => forwardsOf([port('::')], ['10.89.0.2'])).toThrow('pods have no IPv6 address');
  });
});
