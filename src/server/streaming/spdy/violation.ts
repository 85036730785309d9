/** The other side does not keep to the protocol: its connection ends, nobody else notices. */
export class SpdyViolation extends Error {
  override readonly name = 'SpdyViolation';
}
