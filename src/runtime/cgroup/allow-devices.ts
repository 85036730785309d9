import type { Addon } from '#linux/addon';

import { deviceProgram } from './device-program.ts';
import type { V2Options } from './v2-cgroups.ts';

/** Enforces device rules on cgroup v2 by a program in the group: what V2Cgroups asks for. */
export function deviceRulesByProgram(addon: Pick<Addon, 'attachDeviceProgram'>): V2Options['allowDevices'] {
  return (_ctx, directory, rules) => addon.attachDeviceProgram(directory, deviceProgram(rules));
}
