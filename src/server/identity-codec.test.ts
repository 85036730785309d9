import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { containerConfig, podWith } from '#sandbox/cri-config.fixture';
import { checkedContainerConfig, checkedPodConfig } from '#sandbox/identity';
import { loadCriProto } from './cri-proto.ts';
import { RequestCodec } from './identity-codec.ts';

const codec = new RequestCodec(loadCriProto().RuntimeService.service);
const text = fc.string({ unit: 'grapheme' });

test('a pod comes back as it was', () => {
  fc.assert(
    fc.property(fc.dictionary(text, text), text, text, (annotations, name, runtimeHandler) => {
      const config = checkedPodConfig({
        ...podWith({ pid: 'NODE' }),
        annotations,
        metadata: { name: `n${name}`, uid: name, namespace: '', attempt: 4_294_967_295 },
      });
      expect(codec.decodePod(codec.encodePod({ config, runtimeHandler }))).toEqual({ config, runtimeHandler });
    }),
  );
});

test('a container comes back as it was: environment by the byte, numbers by the digit', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (bytes, limit) => {
      const linux = {
        resources: {
          cpu_period: '0',
          cpu_quota: '0',
          cpu_shares: '0',
          memory_limit_in_bytes: limit.toString(),
          oom_score_adj: '-1000',
          cpuset_cpus: '',
          cpuset_mems: '',
          hugepage_limits: [],
          unified: {},
          memory_swap_limit_in_bytes: '0',
        },
        security_context: null,
      };
      const envs = [{ key: 'K', value: Buffer.from(bytes) }];
      const identity = { podId: 'p', config: checkedContainerConfig(containerConfig({ envs, linux })) };
      expect(codec.decodeContainer(codec.encodeContainer(identity))).toEqual(identity);
    }),
  );
});

test('what is no request is refused', () => {
  expect(() => codec.decodePod(Buffer.from([0xff]))).toThrow();
  expect(() => codec.decodePod(Buffer.alloc(0))).toThrow('no metadata');
  expect(() => codec.decodeContainer(Buffer.alloc(0))).toThrow('names no container');
});

test('an environment does not keep its whole request in memory', () => {
  const frame = Buffer.alloc(1_000_000);
  const config = checkedContainerConfig(containerConfig({ envs: [{ key: 'K', value: frame.subarray(0, 8) }] }));
  expect(config.envs[0]?.value.buffer.byteLength).toBeLessThan(100_000);
});
