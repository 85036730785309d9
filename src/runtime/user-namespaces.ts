import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';

/** The first kernel whose overlays take id-mapped layers. */
const firstKernel = [5, 19] as const;

/** Whether pods can have users of their own here. */
export function hasUserNamespaces(release = os.release()): boolean {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  const isNewEnough = major > firstKernel[0] || (major === firstKernel[0] && minor >= firstKernel[1]);
  return isNewEnough && existsSync('/proc/self/ns/user') && allowedNamespaces() > 0;
}

function allowedNamespaces(): number {
  try {
    return Number(readFileSync('/proc/sys/user/max_user_namespaces', 'utf8'));
  } catch {
    return 0;
  }
}
