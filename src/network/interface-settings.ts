import { BerthError, errnoOf } from '#base/errors';
import type { Addon } from '#linux/addon';

/** Whether a setting is of one interface, which has it only when it is there. */
export function isOfInterface(name: string): boolean {
  return /^net\.[a-z0-9]+\.(conf|neigh)\.(?!(all|default)\.)/.test(name);
}

/**
 * Makes the settings of a pod's interfaces. In a name a slash stands for a dot of the interface's own:
 * net.ipv4.conf.eth0/100.forwarding.
 *
 * @throws INVALID_ARGUMENT for an interface or setting that is not there, and for a value that the kernel does not take
 */
export async function writeInterfaceSettings(
  addon: Pick<Addon, 'writeNetSettings'>,
  netns: number,
  sysctls: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [name, value] of Object.entries(sysctls)) {
    const path = name.replaceAll(/[./]/g, (c) => (c === '.' ? '/' : '.'));
    try {
      await addon.writeNetSettings(netns, [{ path, value }]);
    } catch (cause) {
      throw failed(name, value, cause);
    }
  }
}

function failed(name: string, value: string, cause: unknown): unknown {
  const shown = JSON.stringify(value.slice(0, 80));
  const why = new Map([
    ['ENOENT', 'the pod has no such interface, or the kernel no such setting'],
    ['EINVAL', `the kernel does not take the value ${shown}`],
    ['ERANGE', `the kernel does not take the value ${shown}`],
    ['EACCES', 'the kernel does not let it be written'],
    ['EPERM', 'the kernel does not let it be written'],
  ]).get(errnoOf(cause) ?? '');
  if (why === undefined) return cause;
  return new BerthError('INVALID_ARGUMENT', `sysctl ${name}: ${why} (${errnoOf(cause) ?? ''})`, { cause });
}
