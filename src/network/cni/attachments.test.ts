import { expect, test } from '@jest/globals';
import { attachmentRecords, newAttachment, readAttachment } from './attachments.ts';
import { parseConfList } from './conf-list.ts';

const list = parseConfList(JSON.stringify({ cniVersion: '1.0.0', name: 'n', type: 'bridge' }));
const capabilities = { portMappings: [{ hostPort: 1 }] };
const record = newAttachment(list, 'pod', { netns: '/n', args: 'A=1', capabilities });

test('what was written is read', () => {
  expect(readAttachment(attachmentRecords.parse(JSON.parse(JSON.stringify(record))), '')).toEqual({
    attachment: { list, capabilities, target: { containerId: 'pod', netns: '', args: 'A=1' } },
    result: undefined,
  });
});

test.each([
  ['nothing', null],
  ['a part', { podId: 'pod' }],
  ['a list that is none', { ...record, list: '{' }],
  ['a result that is none', { ...record, result: '[]' }],
])('%s is refused', (_what, value) => {
  expect(() => attachmentRecords.parse(value)).toThrow();
});
