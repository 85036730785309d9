import { describe, expect, test } from '@jest/globals';
import { createMetrics } from '#base/metrics';
import { parseConfig } from './config.ts';
import { knownImageFields, type ImageDocument } from './image-fields.ts';
import { unknownFieldsMetric } from './pull-metrics.ts';
import { parseUntrusted } from './untrusted.ts';

const countIn = (document: ImageDocument, text: string): number =>
  parseUntrusted(Buffer.from(text), document).countUnknown(knownImageFields[document]);

describe('fields of an image that nobody knows', () => {
  test.each<[ImageDocument, string, number]>([
    ['config', '{"config":{"Env":["A=1"],"Labels":{"x":"1"},"Volumes":{"/v":{}}},"rootfs":{"diff_ids":[]}}', 0],
    ['config', '{"moby.buildkit.buildinfo.v1":"e30=","moby.buildkit.cache.v0":"","container_config":{"x":1}}', 0],
    ['config', '{"CONFIG":{"env":[],"onbuild":null},"OS.Version":"1","history":[{"Created_By":"x"}]}', 0],
    ['config', '{"new":1,"config":{"New":{"a":1,"b":2}},"history":[{"new":1},{"new":1}],"rootfs":{"new":[]}}', 5],
    ['config', '{"new":1,"new":2,"config":{"a":1},"config":{"b":2}}', 4],
    ['manifest', '{"layers":[{"digest":"","annotations":{"x":""}}],"subject":{"platform":{"os":"linux"}}}', 0],
    ['manifest', '{"history":[],"layers":[{"fetch":1}],"config":{"platform":{"libc":1}}}', 3],
    ['index', '{"manifests":[{"platform":{"os":"linux","os.features":[]}}],"annotations":{"x":"y"}}', 0],
    ['index', '{"manifests":[{"platform":{"cpu":1}},{"rank":1}],"layers":[]}', 3],
  ])('%s %s: %d', (document, text, count) => {
    expect(countIn(document, text)).toBe(count);
  });

  test('are told with the config', () => {
    expect(parseConfig(Buffer.from('{"config":{"NetworkMode":"x"}}'), '').unknownFields).toBe(1);
  });

  test('are counted by document, and documents without any are not named', async () => {
    const metrics = createMetrics();
    const count = unknownFieldsMetric(metrics);
    count({ config: 2, manifest: 0, index: 0 });
    count({ config: 1, manifest: 0, index: 4 });
    const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('berth_'));
    expect(lines).toEqual([
      'berth_image_unknown_fields_total{document="config"} 3',
      'berth_image_unknown_fields_total{document="index"} 4',
    ]);
  });
});
