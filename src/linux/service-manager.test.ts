import { mkdtempSync, rmSync } from 'node:fs';
import { afterAll, describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { loadAddon } from './load.ts';
import { runProcess } from './run-process.ts';
import { ServiceManager } from './service-manager.ts';

const addon = loadAddon();
const directory = mkdtempSync('/tmp/berth-notify-');
afterAll(() => rmSync(directory, { recursive: true }));

const manager = (env: Record<string, string>, said: string[], failures: unknown[] = []) =>
  new ServiceManager({
    addon: { sendDatagram: async (address, text) => void said.push(`${address} ${text}`) },
    env,
    onFailure: (error) => failures.push(error),
    monotonicUs: () => 5n,
  });

describe('what the service manager is told', () => {
  test('is nothing without one', async () => {
    const said: string[] = [];
    using none = manager({}, said);
    await none.ready();
    await none.stopping();
    expect(said).toEqual([]);
  });

  test('is each step of a service', async () => {
    const said: string[] = [];
    using own = manager({ NOTIFY_SOCKET: '@n' }, said);
    await own.ready();
    await own.reloading();
    await own.reloaded('config\nrefused');
    await own.stopping();
    expect(said).toEqual([
      '@n READY=1\nSTATUS=serving',
      '@n RELOADING=1\nMONOTONIC_USEC=5',
      '@n READY=1\nSTATUS=config refused',
      '@n STOPPING=1',
    ]);
  });

  test('is that the loop lives, as often as it wants to know, if it is meant', async () => {
    const said: string[] = [];
    using own = manager({ NOTIFY_SOCKET: '@n', WATCHDOG_USEC: '2000', WATCHDOG_PID: String(process.pid) }, said);
    using other = manager({ NOTIFY_SOCKET: '@other', WATCHDOG_USEC: '2000', WATCHDOG_PID: '1' }, said);
    await Promise.all([own.ready(), other.ready()]);
    while (!said.includes('@n WATCHDOG=1')) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(said).not.toContain('@other WATCHDOG=1');
  });
});

describe('a datagram', () => {
  // Node has no such sockets; perl is on every Debian.
  const receiver = `
    use Socket; socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; my $name = $ARGV[0]; $name =~ s/^@/\\0/;
    bind($s, pack_sockaddr_un($name)) or die "$!"; recv($s, my $text, 4096, 0); print $text;`;

  test.each([`${directory}/socket`, `@berth-test-${process.pid}`])('reaches %s', async (address) => {
    const received = runProcess(createCtx(), addon, {
      ...{ path: '/usr/bin/perl', argv: ['perl', '-e', receiver, address], env: [], limit: 4096 },
    });
    for (;;) {
      const sent = await addon.sendDatagram(address, 'READY=1\nSTATUS=a').then(
        () => true,
        () => false,
      );
      if (sent) break;
    }
    expect(await received).toMatchObject({ code: 0, stdout: 'READY=1\nSTATUS=a' });
  });

  test('to nobody is an error that names whom', async () => {
    await expect(addon.sendDatagram(`${directory}/none`, 'x')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(addon.sendDatagram(`/${'x'.repeat(108)}`, 'x')).rejects.toMatchObject({ code: 'EINVAL' });
  });
});
