import { busyboxLayer } from './image-archive.ts';
import { buildImage, type BuiltImage } from './made-image.ts';
import { nginxConfig, nginxLayer } from './nginx-layer.ts';

const accounts = [
  { name: 'etc/passwd', data: 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' },
  { name: 'etc/group', data: 'root:x:0:\nnogroup:x:65534:\n' },
  { name: 'var/run/' },
];

/** nginx on port 80, in the format and with the compression that docker pushes. */
export async function nginxImage(): Promise<BuiltImage> {
  const config = { Cmd: ['nginx'], StopSignal: 'SIGQUIT' };
  return buildImage({ layers: [busyboxLayer, accounts, await nginxLayer(), nginxConfig(80)], config });
}

/** busybox as OCI has it, compressed by zstd. */
export function busyboxImage(): BuiltImage {
  return buildImage({ layers: [busyboxLayer], config: { Cmd: ['sh'] }, format: 'oci', compression: 'zstd' });
}
