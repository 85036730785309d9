import { readFileSync } from 'node:fs';
import path from 'node:path';
import type * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { top } from './harness/paths.ts';

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd();
});
afterAll(() => berthd.teardown());

const UNIMPLEMENTED = 12;
const OK = 0;

/** What a call needs to be more than malformed. */
const requests: Readonly<Record<string, object>> = { PullImage: { image: { image: 'localhost/none:1' } } };

/** Calls a method with an (else) empty request, as whatever kind it is, and gives the status it ended with. */
function callEmpty(client: grpc.Client, name: string): Promise<{ code: number; details: string }> {
  const definition = (client.constructor as unknown as { service: grpc.ServiceDefinition }).service[name];
  if (!definition) throw new Error(`no method ${name}`);
  const { path: method, requestSerialize, responseDeserialize, responseStream } = definition;
  const request = requests[name] ?? {};
  return new Promise((resolve) => {
    const deadline = { deadline: Date.now() + 3000 };
    const onStatus = ({ code, details }: grpc.StatusObject): void => resolve({ code, details });
    if (responseStream) {
      const stream = client.makeServerStreamRequest(method, requestSerialize, responseDeserialize, request, deadline);
      stream.on('error', () => undefined).on('status', onStatus);
      stream.resume();
    } else {
      const done = (): void => undefined;
      client
        .makeUnaryRequest(method, requestSerialize, responseDeserialize, request, deadline, done)
        .on('status', onStatus);
    }
  });
}

test('of the 43 calls exactly those of README’s table answer UNIMPLEMENTED, with its sentences', async () => {
  const readme = readFileSync(path.join(top, 'README.md'), 'utf8');
  const section = readme.split('<!-- unimplemented: begin -->')[1]?.split('<!-- unimplemented: end -->')[0] ?? '';
  const rows = [...section.matchAll(/^\| (\w+) \| (.+) \|$/gm)].map(
    ([, call = '', says = '']) => [call, says] as const,
  );
  const documented = new Map(rows.filter(([call]) => call !== 'call'));

  const { rawRuntime, rawImages } = berthd.cri;
  const names = [rawRuntime, rawImages].flatMap((client) =>
    Object.keys((client.constructor as unknown as { service: grpc.ServiceDefinition }).service).map(
      (name) => [client, name] as const,
    ),
  );
  expect(names).toHaveLength(43);
  const answers = await Promise.all(
    names.map(async ([client, name]) => [name, await callEmpty(client, name)] as const),
  );
  const missing = answers.filter(([, { code }]) => code === UNIMPLEMENTED);
  expect(missing.map(([name]) => name).sort()).toEqual([...documented.keys()].sort());
  for (const [name, { details }] of missing) expect(details).toContain(documented.get(name));
  // What is built answers an empty request with a result or a clear refusal, never with an internal error.
  const strange = answers.filter(([, { code }]) => ![OK, 3, 4, 5, 9, UNIMPLEMENTED].includes(code));
  expect(strange).toEqual([]);
});
