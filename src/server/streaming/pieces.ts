/**
 * What a stream holds at most of pieces that its consumer has not read; then it waits until all are read. A limit in bytes
 * is not enough, because each piece costs a hundred bytes and more, and a client may send them one byte at a time.
 */
export const maxPieces = 2048;
