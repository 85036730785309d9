import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { isBerthError } from '#base/errors';
import { loadConfig } from './load.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'berth-config-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function write(name: string, text: string): string {
  const file = path.join(directory, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

function problemOf(file: string): string {
  try {
    loadConfig({ file });
  } catch (error) {
    if (isBerthError(error, 'CONFIG_INVALID')) return error.message;
    throw error;
  }
  throw new Error('the config was accepted');
}

describe('loadConfig', () => {
  test('an empty file gives every default', () => {
    const { config, files } = loadConfig({ file: write('config.toml', '') });
    expect(files).toEqual([path.join(directory, 'config.toml')]);
    expect(config.paths).toEqual({
      root: '/var/lib/berth',
      run: '/run/berth',
      socket: '/run/berth/berth.sock',
      adminSocket: '/run/berth/admin.sock',
    });
    expect(config.metrics.address).toEqual({ host: '127.0.0.1', port: 9478 });
    expect(config.network).toMatchObject({ mode: 'builtin', bridge: 'berth0', ipv4Subnet: '10.89.0.0/16' });
    expect(config.cgroup).toEqual({ driver: 'cgroupfs', defaultParent: '/berth', shimParent: '/berth-shims' });
    expect(config.timeouts.runPodMs).toBe(120_000);
    expect(config.registries).toEqual({
      hostsDirectories: ['/etc/berth/certs.d', '/etc/containerd/certs.d'],
      registriesConf: '/etc/containers/registries.conf',
      authFiles: [],
      plainHttp: [],
      minimumBytesPerSecond: 1024,
      stallMs: 30_000,
      attempts: 6,
    });
  });

  test('sockets follow the run directory unless they are named', () => {
    const { config } = loadConfig({ file: write('config.toml', 'run = "/tmp/b1"\nadmin_socket = "/tmp/a"\n') });
    expect(config.paths).toMatchObject({ socket: '/tmp/b1/berth.sock', adminSocket: '/tmp/a' });
  });

  test('drop-ins override single keys in lexical order', () => {
    write('config.d/20.toml', '[network]\nbridge = "last"\n');
    write('config.d/10.toml', '[network]\nbridge = "first"\nmtu = 1400\n');
    write('config.d/30.toml.off', 'nonsense = 1\n');
    const { config, files } = loadConfig({ file: write('config.toml', '[network]\npool_size = 7\n') });
    expect(config.network).toMatchObject({ bridge: 'last', mtu: 1400, poolSize: 7 });
    expect(files.map((file) => path.basename(file))).toEqual(['config.toml', '10.toml', '20.toml']);
  });

  test('a named file that does not exist is an error', () => {
    expect(problemOf(path.join(directory, 'none.toml'))).toBe(
      `config file ${path.join(directory, 'none.toml')} does not exist`,
    );
  });

  test('"" turns metrics off', () => {
    const { config } = loadConfig({ file: write('config.toml', '[metrics]\naddress = ""\n') });
    expect(config.metrics.address).toBeUndefined();
  });

  const bad: readonly (readonly [name: string, text: string, problem: string])[] = [
    ['an unknown key at the top', 'rooot = "/x"', 'unknown key rooot'],
    ['an unknown key in a table', '[network]\nbrige = "x"', 'unknown key network.brige'],
    ['an unknown table', '[netwrk]\nmode = "cni"', 'unknown key netwrk'],
    ['a key called __proto__', '"__proto__" = 1', 'unknown key __proto__'],
    ['a wrong type', '[network]\npool_size = "4"', 'network.pool_size: expected a whole number from 0 to 64'],
    ['a number out of range', '[network]\npool_size = 65', 'network.pool_size: expected a whole number from 0 to 64'],
    ['a value outside the choice', '[cgroup]\ndriver = "x"', 'cgroup.driver: expected one of "cgroupfs", "systemd"'],
    ['a value where a table belongs', 'network = 1', 'network: expected a table of keys'],
    ['a relative path', 'root = "var"', 'root: expected an absolute path without ".." or a closing slash'],
    [
      'a bad duration',
      '[timeouts]\nkill = "10"',
      'timeouts.kill: expected a duration: a whole number from 1 and a unit, such as "500ms", "30s", "4m" or "1h"',
    ],
    ['a long socket', `socket = "/${'s'.repeat(110)}"`, 'socket: expected an absolute path of at most 107 bytes'],
    ['a bad subnet', '[network]\nipv4_subnet = "10.0.0.0"', 'network.ipv4_subnet: expected an IPv4 subnet'],
    [
      'a registry with a scheme',
      '[registries]\nplain_http = ["a:1", "http://b"]',
      'registries.plain_http.1: expected a reg',
    ],
    ['a list that is none', '[registries]\nauth_files = "/a"', 'registries.auth_files: expected a list of at most 256'],
    ['an address without a port', '[metrics]\naddress = "::1"', 'metrics.address: expected "address:port"'],
  ];
  test.each(bad)('%s is refused with file and key', (_name, text, problem) => {
    const file = write('config.toml', text);
    const message = problemOf(file);
    expect(message).toContain(file);
    expect(message).toContain(problem);
  });

  test('the drop-in that holds the wrong key is the one named', () => {
    const dropIn = write('config.d/50-net.toml', '[network]\nmtu = -1\n');
    expect(problemOf(write('config.toml', '[network]\npool_size = 1\n'))).toBe(
      `${dropIn}: network.mtu: expected a whole number from 0 to 65535`,
    );
  });

  test('text that is not TOML is refused with line and column', () => {
    const file = write('config.toml', 'root = "/x"\n[network\n');
    expect(problemOf(file)).toContain(`${file}:2:`);
  });

  test('a run directory too long for its socket is refused', () => {
    expect(problemOf(write('config.toml', `run = "/${'r'.repeat(100)}"`))).toContain('too long for a unix socket');
  });

  test('one directory for what a reboot keeps and what it clears is refused', () => {
    expect(problemOf(write('config.toml', 'root = "/b"\nrun = "/b"\n'))).toContain('root and run are both /b');
  });

  test('cgroup.driver that is not built yet is refused', () => {
    const text = '[cgroup]\ndriver = "systemd"\n';
    expect(problemOf(write('config.toml', text))).toBe('cgroup.driver = "systemd" is not built yet');
  });

  test('CNI has the places of other runtimes, and no plugins without a directory of them', () => {
    const { config } = loadConfig({ file: write('config.toml', '[network]\nmode = "cni"\n') });
    expect(config.network.mode).toBe('cni');
    expect(config.cni).toEqual({
      confDir: '/etc/cni/net.d',
      binDirs: ['/opt/cni/bin', '/usr/lib/cni'],
      netnsDir: '/run/netns',
      timeoutMs: 60_000,
    });
    expect(problemOf(write('other.toml', '[network]\ncni_bin_dirs = []\n'))).toContain('cni_bin_dirs');
  });

  test('a node without any pod subnet is refused', () => {
    expect(problemOf(write('config.toml', '[network]\nipv4_subnet = ""\nipv6_subnet = ""\n'))).toContain('set one');
  });
});
