import { readFileSync } from 'node:fs';
import path from 'node:path';
import { BerthError } from '#base/errors';
import type { Addon } from '#linux/addon';
import type { Cgroups } from './cgroups.ts';
import { detectLayout } from './detect.ts';
import { V1Cgroups } from './v1-cgroups.ts';
import { deviceProgram } from './device-program.ts';
import { V2Cgroups } from './v2-cgroups.ts';

/** The cgroups of this machine, by the cgroupfs driver. Read once, at start. */
export function openCgroups(addon: Addon): Cgroups {
  const layout = detectLayout(readFileSync('/proc/self/mountinfo', 'utf8'));
  if (layout.version === 1) {
    if (layout.hierarchies.length === 0) {
      throw new BerthError('UNAVAILABLE', 'no cgroup hierarchy is mounted below /sys/fs/cgroup: mount cgroup2 there');
    }
    return new V1Cgroups(addon, layout.hierarchies);
  }
  const controllers = readFileSync(path.join(layout.mountpoint, 'cgroup.controllers'), 'utf8').trim().split(/\s+/);
  return new V2Cgroups({
    addon,
    mountpoint: layout.mountpoint,
    controllers,
    allowDevices: (_ctx, directory, rules) => addon.attachDeviceProgram(directory, deviceProgram(rules)),
  });
}
