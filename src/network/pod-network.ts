import type { Ctx } from '#base/ctx';
import type { Fd } from '#linux/fd';

/** A pod's network, whoever makes it. `network.mode` chooses the one in the config; a pod is torn down by its maker. */
export interface PodNetwork {
  readonly mode: NetworkMode;
  /** Whether pods can get a network now; shown as NetworkReady. */
  status(): NetworkStatus;
  /** A namespace for a new pod: from the pool of ready ones, or fresh. The caller owns the fd. */
  takeNamespace(ctx: Ctx): Promise<Fd>;
  /** Connects the namespace. On failure nothing is left. */
  setUp(ctx: Ctx, request: NetworkRequest): Promise<PodNetworkRecord>;
  /** Idempotent; works without the namespace. Addresses are free afterwards. */
  tearDown(ctx: Ctx, podId: string, record: PodNetworkRecord): Promise<void>;
  /** What `restore` needs of a connected pod, as text to be kept elsewhere: the network's own records may be lost. */
  memo(podId: string): string;
  /**
   * Recovery: the pod is there and has this network, whatever the network's own records say; before `keepOnly`. Makes again
   * what was lost of them, so that the pod's addresses and ports are nobody else's, and can be given back.
   *
   * @param memo "" when it is lost as well: then what the record tells has to do
   */
  restore(ctx: Ctx, pod: RestoredNetwork, memo: string): Promise<void>;
  /** Recovery: forgets addresses and host links of pods that are not in the set; returns what was freed. */
  keepOnly(ctx: Ctx, podIds: ReadonlySet<string>): Promise<readonly string[]>;
  /**
   * The pod CIDRs of the node, from the kubelet: new pods get addresses there; a family that is not named keeps its own.
   * Throws INVALID_ARGUMENT. The caller remembers them and says them again after a restart.
   */
  useSubnets(ctx: Ctx, cidrs: readonly string[]): Promise<void>;
  /** Links, addresses, tables nobody owns, for `berth check`. */
  strays(ctx: Ctx, podIds: ReadonlySet<string>): Promise<readonly string[]>;
}

/** A pod that lives, as whoever knows it tells. */
export interface RestoredNetwork {
  readonly podId: string;
  readonly record: PodNetworkRecord;
  readonly portMappings: readonly PortMapping[];
}

export type NetworkMode = 'builtin' | 'cni';

export interface NetworkStatus {
  readonly ready: boolean;
  readonly reason: string;
  readonly message: string;
}

export interface NetworkRequest {
  readonly podId: string;
  readonly netns: Fd;
  readonly pod: PodLabels;
  /** Those with a host port, in the pod's order. */
  readonly portMappings: readonly PortMapping[];
  readonly dns: {
    readonly servers: readonly string[];
    readonly searches: readonly string[];
    readonly options: readonly string[];
  };
  /** "" when the pod names none. */
  readonly cgroupPath: string;
  /** Settings of its interfaces, by the names of sysctl(8) with dots; they are made when the network is. */
  readonly sysctls: Readonly<Record<string, string>>;
}

/** What Kubernetes calls the pod. */
export interface PodLabels {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A port of the node that leads to one of the pod. */
export interface PortMapping {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly containerPort: number;
  readonly hostPort: number;
  /** "" for every address of the node. */
  readonly hostIp: string;
}

/** Stored with the pod. */
export interface PodNetworkRecord {
  readonly mode: NetworkMode;
  /** First the primary address; without prefix length. */
  readonly addresses: readonly string[];
  readonly hostInterface: string;
  /** What the plugins said: the name of their network, and the last one's result as JSON. */
  readonly cni?: { readonly network: string; readonly result: string };
}

/** Where the built-in network keeps who has which address; owned here, implemented over the store by main. */
export interface AddressBook {
  all(): readonly AddressLease[];
  get(podId: string): AddressLease | undefined;
  put(ctx: Ctx, lease: AddressLease): Promise<void>;
  /** Missing is no error. */
  delete(ctx: Ctx, podId: string): Promise<void>;
}

export interface AddressLease {
  readonly podId: string;
  readonly addresses: readonly string[];
  /** The pod's host ports; left out where there are none. */
  readonly portMappings?: readonly PortMapping[];
}
