import { unimplemented } from '#server/unimplemented';
import { done, noMeaning, refused, type FieldSection } from '../../field-rows/row.ts';

export const nodeSection: FieldSection = {
  title: 'Streams, the node, and what is not there yet',
  about: '',
  rows: {
    '{ExecSync,Exec,Attach} container_id': done(
      'which running container, by its id or the beginning of it',
      'commands and streams',
    ),
    '{ExecSync,Exec} cmd': done('what is executed', 'commands and streams'),
    'ExecSync timeout': done('seconds until it is killed; 0 or less: never', 'commands and streams'),
    '{Exec,Attach} {stdin,stdout,stderr,tty}': done('which streams are wanted', 'commands and streams'),
    'PortForward {pod_sandbox_id,port}': done(
      'which pod; ports for clients that name none themselves',
      'commands and streams',
    ),
    'Version version': noMeaning('there never was another version of this protocol than v1'),
    'Status verbose': done('also `info`, as `crictl info` shows it', 'verbose answers'),
    'UpdateRuntimeConfig runtime_config.network_config.pod_cidr': done(
      'where new pods get their addresses',
      'the addresses of pods',
    ),
    'CheckpointContainer **': refused('UNIMPLEMENTED', unimplemented.CheckpointContainer),
    'CheckpointPod **': refused('UNIMPLEMENTED', unimplemented.CheckpointPod),
    'RestorePod **': refused('UNIMPLEMENTED', unimplemented.RestorePod),
  },
};
