import type { RlimitsConfig } from '#config/slices';

/** As the config has them by default. */
export const usualRlimits: RlimitsConfig = {
  core: 'unlimited',
  memlock: '8388608',
  msgqueue: '819200',
  nofile: '1024:524288',
  nproc: 'unlimited',
  stack: '8388608:unlimited',
};
