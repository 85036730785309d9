import { connect, createServer } from 'node:net';
import type { SocketOrder, SocketReport } from './node-sockets.ts';

// Runs inside a test node: makes the sockets it is asked for and hands them to the test, which lives outside.

process.on('message', (order: SocketOrder) => {
  if (order.kind === 'listen') {
    const server = createServer();
    server.once('error', (error) => report({ id: order.id, error: error.message }));
    server.listen(order.port, '127.0.0.1', () => report({ id: order.id }, server));
    return;
  }
  const socket = connect({ port: order.port, host: '127.0.0.1' });
  socket.once('error', (error) => report({ id: order.id, error: error.message }));
  socket.once('connect', () => report({ id: order.id }, socket));
});
report({ id: 0 });

function report(message: SocketReport, handle?: ReturnType<typeof createServer> | ReturnType<typeof connect>): void {
  process.send?.(message, handle, undefined, () => {
    // The test has it now; ours would keep the port taken.
    if (handle !== undefined && 'listening' in handle) handle.close();
  });
}
