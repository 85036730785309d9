import type { CriUnderTest } from './cri-under-test.fixture.ts';

/** Requests that are answered, by call, for what is changed in one field. `pod` and `container` run. */
export interface ValidRequests {
  readonly pod: string;
  readonly container: string;
  of(call: string): object;
}

export async function validRequests(cri: CriUnderTest): Promise<ValidRequests> {
  const pod = await cri.runPod();
  const container = await cri.startContainer({}, pod);
  const image = { image: 'localhost/busybox:latest' };
  cri.sandboxes.node.images.registry.add({ names: ['registry.test/valid:1'], layers: [] });
  const podConfig = () => ({ metadata: { name: cri.name(), uid: 'u', namespace: 'default' } });
  const requests: Readonly<Record<string, () => object>> = {
    RunPodSandbox: () => ({ config: { ...podConfig(), port_mappings: [{ container_port: 80, host_port: 8080 }] } }),
    CreateContainer: () => ({
      pod_sandbox_id: pod,
      config: {
        ...{ metadata: { name: cri.name() }, image, command: ['sh'] },
        mounts: [{ container_path: '/data', host_path: '/srv/data' }],
      },
    }),
    UpdateContainerResources: () => ({ container_id: container }),
    PullImage: () => ({ image: { image: 'registry.test/valid:1' } }),
    RemoveImage: () => ({ image: { image: 'localhost/nobody-has-it:1' } }),
    ImageStatus: () => ({ image }),
    ListImages: () => ({ filter: { image } }),
    StreamImages: () => ({ filter: { image } }),
  };
  return { pod, container, of: (call) => requests[call]?.() ?? {} };
}
