import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** What the kernel does with profiles and labels. */
export interface SecurityModules {
  /** AppArmor takes profiles. */
  readonly apparmor: boolean;
  /** SELinux has a policy. */
  readonly selinux: boolean;
  /** Filters can be loaded. */
  readonly seccomp: boolean;
}

/**
 * Asks the kernel, not a package: what is built in may be off (`apparmor=0`, `lsm=`), and SELinux does nothing before it has
 * a policy. securityfs is not mounted everywhere: without it each module's own files decide.
 *
 * @param root of the file system, for tests
 */
export function securityModules(root = '/'): SecurityModules {
  const text = (file: string): string => {
    try {
      // Its end may be a zero byte.
      return readFileSync(path.join(root, file), 'utf8').replace(/[\0\n]+$/, '');
    } catch {
      return '';
    }
  };
  const list = text('sys/kernel/security/lsm');
  const mayBeActive = (name: string): boolean => list === '' || list.split(',').includes(name);
  return {
    apparmor: mayBeActive('apparmor') && text('sys/module/apparmor/parameters/enabled') === 'Y',
    // Without a policy everything has the kernel's own label.
    selinux:
      mayBeActive('selinux') &&
      existsSync(path.join(root, 'sys/fs/selinux/enforce')) &&
      text('proc/self/attr/current') !== 'kernel',
    seccomp: existsSync(path.join(root, 'proc/sys/kernel/seccomp/actions_avail')),
  };
}
