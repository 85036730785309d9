import type { Clock } from '#base/clock';
import type { Ctx } from '#base/ctx';
import type { Metrics } from '#base/metrics';
import type { CniConfig, NetworkConfig } from '#config/slices';
import type { Addon } from '#linux/addon';
import { runProcess } from '#linux/run-process';
import { BuiltinNetwork } from './builtin/builtin-network.ts';
import type { AttachmentRecords } from './cni/attachments.ts';
import { CniNetwork } from './cni/cni-network.ts';
import { unknownFieldsMetric, type UnknownCniFields } from './cni/unknown-fields.ts';
import { NetworkByMode } from './network-by-mode.ts';
import { NetworkTimer } from './network-timer.ts';
import { StoreAddressBook, type LeaseRecords } from './store-address-book.ts';

export interface OpenNetworkOptions {
  /** For work nobody waits for; its signal ends with the daemon. */
  readonly ctx: Ctx;
  readonly addon: Addon;
  readonly leases: LeaseRecords;
  readonly attachments: AttachmentRecords;
  readonly config: NetworkConfig;
  readonly cni: CniConfig;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

interface Measured {
  readonly timer: NetworkTimer;
  readonly unknownFields: UnknownCniFields;
}

/** The network the config names, started; beside it the other one, as long as there are pods that it made. */
export function openNetwork(options: OpenNetworkOptions): NetworkByMode {
  const { leases, attachments, config, addon } = options;
  const { metrics, clock } = options;
  const measured: Measured = { timer: new NetworkTimer(metrics, clock), unknownFields: unknownFieldsMetric(metrics) };
  const { timer } = measured;
  if (config.mode === 'cni') {
    const current = openCni(options, measured);
    current.start();
    const openFormer = (): BuiltinNetwork => openBuiltin(options);
    return new NetworkByMode({
      current,
      former: leases.values().length > 0 ? openFormer() : undefined,
      openFormer,
      timer,
      addon,
    });
  }
  const current = openBuiltin(options);
  current.start();
  const openFormer = (): CniNetwork => openCni(options, measured);
  const former = attachments.values().length > 0 ? openFormer() : undefined;
  return new NetworkByMode({ current, former, openFormer, timer, addon });
}

function openBuiltin({ ctx, addon, leases, config, clock }: OpenNetworkOptions): BuiltinNetwork {
  return new BuiltinNetwork({
    ...{ ctx, addon, config, clock },
    run: (own, command) => runProcess(own, addon, command),
    addresses: new StoreAddressBook(leases),
  });
}

function openCni({ ctx, addon, attachments, config, cni, clock }: OpenNetworkOptions, measured: Measured): CniNetwork {
  return new CniNetwork({
    ...{ ctx, addon, attachments, clock, ...measured },
    run: (own, command) => runProcess(own, addon, command),
    config: cni,
    poolSize: config.poolSize,
  });
}
