import path from 'node:path';
import { output } from './command.ts';
import { top } from './paths.ts';
import { entriesOf, type LayerEntry } from './tar.ts';

/** Debian's nginx with its libraries and a page; `nginxConfig` goes above it. */
export async function nginxLayer(): Promise<LayerEntry[]> {
  const root = (await output([path.join(top, 'tools/get-nginx')], { timeoutMs: 300_000 })).trim();
  const directories = ['etc/nginx', 'usr/share/nginx', 'usr/share/nginx/html', 'var/log', 'var/log/nginx'];
  return [
    ...entriesOf(root),
    ...[...directories, 'var/lib', 'var/lib/nginx'].map((name) => ({ name: `${name}/` })),
    { name: 'usr/share/nginx/html/index.html', data: '<h1>Welcome to nginx!</h1>\n' },
  ];
}

/** A layer that makes nginx serve on a port, in the foreground, and log to its standard streams. */
export function nginxConfig(port: number): LayerEntry[] {
  const lines = [
    'worker_processes 1;',
    'daemon off;',
    'error_log /dev/stderr notice;',
    'pid /var/run/nginx.pid;',
    'events {}',
    'http {',
    '  access_log /dev/stdout;',
    `  server { listen ${port}; root /usr/share/nginx/html; }`,
    '}',
  ];
  return [{ name: 'etc/nginx/nginx.conf', data: `${lines.join('\n')}\n` }];
}
