import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';

/** That which comes with the Node that is copied beside it. */
const version = '11.19.1';

/** The machine's own npm, which knows how its registry is reached: under the pinned Node it looks elsewhere for that. */
function machineNpm(args: readonly string[], cwd?: string): string {
  const PATH = (process.env['PATH'] ?? '')
    .split(':')
    .filter((directory) => directory !== path.dirname(process.execPath))
    .join(':');
  return execFileSync('npm', args, { encoding: 'utf8', env: { ...process.env, PATH }, cwd });
}

/** The directory of an npm as the registry has it: a distribution's own is spread over the system. */
export function fetchNpm(top: string): string {
  const prefix = path.join(top, `.cache/fresh/npm-${version}`);
  const npm = path.join(prefix, 'node_modules/npm');
  if (!existsSync(path.join(npm, 'package.json'))) {
    mkdirSync(prefix, { recursive: true });
    const options = ['--prefix', prefix, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
    machineNpm(['install', ...options, `npm@${version}`], prefix);
  }
  return npm;
}

/** How this machine's npm reaches its registry, for one in the root: npm takes its settings from the environment. */
export function npmReach(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const key of ['registry', 'proxy', 'https-proxy', 'noproxy', 'cafile', 'replace-registry-host']) {
    const value = machineNpm(['config', 'get', key]).trim();
    if (value !== '' && value !== 'null' && value !== 'undefined')
      env[`npm_config_${key.replaceAll('-', '_')}`] = value;
  }
  if (env['npm_config_cafile'] !== undefined) env['npm_config_cafile'] = '/etc/ssl/certs/ca-certificates.crt';
  return env;
}
