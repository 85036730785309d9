import type { Bases } from './bases.ts';
import type { ImageRecipe } from '../harness/made-image.ts';
import { nginxConfig } from '../harness/nginx-layer.ts';
import type { LayerEntry } from '../harness/tar.ts';

/** An image under its names, which are repositories and tags without a registry. */
export interface NamedImage {
  readonly names: readonly string[];
  readonly recipe: ImageRecipe;
}

/**
 * Look-alikes of every image that critest pulls, with what its specs look for in them. All of them are small, and all
 * that must be told apart have ids of their own.
 */
export function critestImages(bases: Bases): NamedImage[] {
  return [
    ...busyboxes(bases),
    ...pauses(bases),
    ...servers(bases),
    ...users(bases),
    ...tagged(bases),
    privileges(bases),
  ];
}

const e2e = (name: string): string => `e2e-test-images/${name}`;
const staging = (name: string): string => `k8s-staging-cri-tools/${name}`;
/** As two public registries call their copies of the same images. */
const library = (name: string): string[] => [`library/${name}`, `docker/library/${name}`];

/** A layer that makes an image differ from its likes. */
const marker = (name: string): LayerEntry[] => [{ name: 'etc/marker', data: `${name}\n` }];

function shellImage({ busybox }: Bases, names: readonly string[], mark?: string, config: object = {}): NamedImage {
  const layers = mark === undefined ? [busybox] : [busybox, marker(mark)];
  return { names, recipe: { layers, config: { Cmd: ['sh'], ...config } } };
}

function busyboxes(bases: Bases): NamedImage[] {
  const tags = ['1', '1.35.0-glibc', '1-uclibc', '1-glibc', '1-musl'];
  return [
    shellImage(bases, [e2e('busybox:1.29-2'), ...library('busybox:latest')]),
    ...tags.map((tag) => shellImage(bases, library(`busybox:${tag}`), `busybox-${tag}`)),
  ];
}

/** A spec counts the tags of the one, so the other, which runtimes may use themselves, has another id. */
function pauses({ pause }: Bases): NamedImage[] {
  const config = { Entrypoint: ['/pause'] };
  return [
    { names: ['pause:3.9'], recipe: { layers: [pause, marker('pause-3.9')], config } },
    { names: ['pause:3.10', 'pause:latest'], recipe: { layers: [pause], config: { ...config, User: '65535:65535' } } },
  ];
}

function servers({ busybox, nginx }: Bases): NamedImage[] {
  const serving = (port: number): ImageRecipe => ({
    layers: [busybox, nginx, nginxConfig(port)],
    config: { Cmd: ['nginx'], StopSignal: 'SIGTERM' },
  });
  const httpd = ['sh', '-c', 'echo httpd: serving /www; exec httpd -f -v -p 80 -h /www'];
  return [
    { names: [e2e('nginx:1.14-2'), ...library('nginx:latest')], recipe: serving(80) },
    { names: [staging('hostnet-nginx-amd64:latest')], recipe: serving(12003) },
    { names: [e2e('httpd:2.4.39-4')], recipe: { layers: [busybox], config: { Cmd: httpd } } },
  ];
}

function users(bases: Bases): NamedImage[] {
  const user = (name: string, User: string): NamedImage =>
    shellImage(bases, [staging(`test-image-user-${name}:latest`)], undefined, { User });
  const accounts: LayerEntry[] = [
    { name: 'etc/passwd', data: `${bases.passwd}default-user:x:1000:1000::/home:/bin/sh\n` },
    {
      name: 'etc/group',
      data: `${bases.group}default-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n`,
    },
  ];
  return [
    user('uid', '1002'),
    user('username', 'www-data'),
    user('uid-group', '1003:1004'),
    user('username-group', 'www-data:www-data'),
    {
      names: [staging('test-image-predefined-group:latest')],
      recipe: { layers: [bases.busybox, accounts], config: { Cmd: ['sh'], User: 'default-user' } },
    },
  ];
}

/** The one that critest pulls by its digest cannot be made by anybody else; another is under its name. */
function tagged(bases: Bases): NamedImage[] {
  const tags = ['1', '2', '3'];
  return [
    ...['latest', ...tags].map((tag) => shellImage(bases, [staging(`test-image-${tag}:latest`)], `test-image-${tag}`)),
    ...['test', 'all'].map((tag) => shellImage(bases, [staging(`test-image-tag:${tag}`)], `test-image-tag-${tag}`)),
    shellImage(
      bases,
      tags.map((tag) => staging(`test-image-tags:${tag}`)),
      'test-image-tags',
    ),
    shellImage(bases, [staging('test-image-digest:latest')], 'test-image-digest'),
  ];
}

function privileges({ busybox, effectiveUid }: Bases): NamedImage {
  const program: LayerEntry = { name: 'bin/effective-uid', data: effectiveUid, mode: 0o4755 };
  return {
    names: [e2e('nonewprivs:1.3')],
    recipe: { layers: [busybox, [program]], config: { Entrypoint: ['/bin/effective-uid'] } },
  };
}
