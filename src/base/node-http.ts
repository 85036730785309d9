/**
 * Node's http module, without its ES module wrapper: to build that, Node reads every export, and one of them (WebSocket)
 * loads all of undici, which costs a fifth of a second at start and some megabytes for ever.
 */
export const http = process.getBuiltinModule('node:http');
