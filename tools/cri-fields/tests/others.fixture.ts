import { expect } from '@jest/globals';
import type { FieldTests } from './field-test.fixture.ts';

const refusal = { status: 'INVALID_ARGUMENT' };

export const otherTests: FieldTests = {
  'verbose answers': async (cri, { call }) => {
    const pod = await cri.runPod();
    const container = await cri.createContainer({}, pod);
    const image = { image: 'localhost/busybox:latest' };
    const request = { pod_sandbox_id: pod, container_id: container, image };
    const infoOf = async (verbose: boolean) => {
      const { info } = (await cri.call(call, { ...request, verbose })) as { info: Record<string, string> };
      return Object.keys(info);
    };
    expect(await infoOf(true)).toEqual(['info']);
    expect(await infoOf(false)).toEqual([]);
  },

  'what is pulled': async (cri) => {
    const { images } = cri.sandboxes.node;
    const name = `registry.test/${cri.name()}:1`;
    const { id } = images.registry.add({ names: [name], layers: [] });
    const auth = {
      ...{ username: 'me', password: 'secret', auth: 'bWU6c2VjcmV0', server_address: 'registry.test' },
      ...{ identity_token: 'identity', registry_token: 'registry' },
    };
    expect(await cri.client.images.pullImage({ image: { image: name }, auth })).toEqual({ image_ref: id });
    expect(images.registry.requests.at(-1)).toMatchObject({
      reference: { domain: 'registry.test' },
      credentials: {
        ...{ username: 'me', password: 'secret', auth: 'bWU6c2VjcmV0', serverAddress: 'registry.test' },
        ...{ identityToken: 'identity', registryToken: 'registry' },
      },
    });
    const elsewhere = cri.client.images.pullImage({ image: { image: name, runtime_handler: 'unheard-of' } });
    await expect(elsewhere).rejects.toMatchObject(refusal);
  },

  'which image is meant': async (cri, { call }) => {
    const { images } = cri.sandboxes.node;
    const names = [`localhost/${cri.name()}:1`, `localhost/${cri.name()}:1`];
    const [one, other] = names.map((name) => images.add({ names: [name] }).id);
    const [image = ''] = names;
    if (call.endsWith('Images')) {
      expect(await cri.list(call, { image: { image } })).toEqual([one]);
      return;
    }
    const answer = await cri.call(call, { image: { image } });
    if (call === 'ImageStatus') expect(answer).toMatchObject({ image: { id: one } });
    else expect(images.find(image)).toBeUndefined();
    expect(images.find(names[1] ?? '')?.id).toBe(other);
  },

  'the addresses of pods': async (cri) => {
    const pod_cidr = `10.77.${cri.name().slice(1)}.0/24`;
    await cri.client.runtime.updateRuntimeConfig({ runtime_config: { network_config: { pod_cidr } } });
    expect(cri.sandboxes.node.network.subnets).toEqual([pod_cidr]);
  },

  'commands and streams': async (cri, { call }) => {
    const pod = await cri.runPod();
    const id = await cri.startContainer({}, pod);
    const { runtime } = cri.client;
    const [short, podShort] = [id.slice(0, 16), pod.slice(0, 16)];
    cri.offers.splice(0);
    if (call === 'ExecSync') {
      await runtime.execSync({ container_id: short, cmd: ['probe', '-x'], timeout: 7 });
      expect(cri.sandboxes.runtime.calls.at(-1)).toBe(`execSync ${id} probe -x`);
      expect(cri.execs.at(-1)?.timeoutMs).toBe(7000);
    } else if (call === 'PortForward') {
      await runtime.portForward({ pod_sandbox_id: podShort, port: [80, 443] });
      expect(cri.offers).toEqual([{ kind: 'portforward', request: { podId: pod, ports: [80, 443] } }]);
    } else {
      const cmd = ['sh', '-i'];
      const choices = [
        { stdin: true, stdout: true, stderr: false, tty: true },
        { stdin: false, stdout: false, stderr: true, tty: false },
      ];
      for (const choice of choices) await cri.call(call, { container_id: short, cmd, ...choice });
      const command = call === 'Exec' ? { command: cmd } : {};
      expect(cri.offers).toEqual(
        choices.map((choice) => ({
          kind: call === 'Exec' ? 'exec' : 'attach',
          request: { containerId: id, ...command, ...choice },
        })),
      );
    }
  },
};
