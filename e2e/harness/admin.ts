import http from 'node:http';

export interface AdminReply {
  readonly status: number;
  /** JSON lines of the body. */
  readonly lines: readonly Record<string, unknown>[];
}

/** One request to berthd's admin socket. */
export function callAdmin(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  body?: object,
  timeoutMs = 60_000,
): Promise<AdminReply> {
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, method, path, agent: false, timeout: timeoutMs }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, lines: parseLines(text) }));
    });
    request.on('timeout', () => request.destroy(new Error(`${method} ${path} did not answer in ${timeoutMs} ms`)));
    request.on('error', reject);
    if (body) request.setHeader('content-type', 'application/json');
    request.end(body ? JSON.stringify(body) : undefined);
  });
}

function parseLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
