import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';

// Sends random bytes to an echo on a port of this machine, closes its side, and prints the hashes of both directions.
// Usage: echo-client.ts PORT MEGABYTES

const [port = '', megabytes = ''] = process.argv.slice(2);
const sent = createHash('sha256');
const received = createHash('sha256');
let bytes = 0;

const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
socket.on('data', (chunk) => {
  received.update(chunk);
  bytes += chunk.length;
});
const ended = new Promise<void>((resolve, reject) => {
  socket.once('end', () => resolve());
  socket.once('error', reject);
});
for (let count = 0; count < Number(megabytes); count++) {
  const piece = randomBytes(1024 * 1024);
  sent.update(piece);
  if (!socket.write(piece)) await new Promise((resolve) => socket.once('drain', resolve));
}
socket.end();
await ended;
process.stdout.write(JSON.stringify({ sent: sent.digest('hex'), received: received.digest('hex'), bytes }));
