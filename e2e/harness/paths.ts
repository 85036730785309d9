import path from 'node:path';

/** The checkout. */
export const top = path.dirname(path.dirname(import.meta.dirname));
export const cache = path.join(top, '.cache');
export const crictlBinary = path.join(cache, 'cri-tools-v1.37.0/crictl');
export const busyboxArchive = path.join(cache, 'images/busybox.tar');
export const busybox = 'localhost/busybox:latest';
