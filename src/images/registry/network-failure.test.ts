import { describe, expect, it } from '@jest/globals';
import { isLasting, networkSentence, ProxyFailure, speaksNoTls, Unreached } from './network-failure.ts';

const failed = (code: string): Error => Object.assign(new Error('secret'), { code });

describe('what happened to a connection', () => {
  it.each([
    ['ECONNREFUSED', 'connection refused', false, true],
    ['EPROTO', 'it does not speak TLS, or not ours', false, true],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'it does not speak TLS, or not ours', false, true],
    ['CERT_HAS_EXPIRED', 'its certificate, or one that signed it, has expired', true, false],
    ['CERT_NOT_YET_VALID', 'its certificate is not valid yet: compare the clocks', true, false],
    ['INVALID_CA', 'its certificate is signed by one that may not sign others', true, false],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'it wants a certificate of ours: configure client', true, false],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'it does not know who signed the certificate of client', true, false],
    ['ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE', 'it refused the handshake: it may want', true, false],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'it speaks no TLS 1.2', true, false],
    ['ENOTFOUND', 'no such host', true, false],
  ])('%s: %s; lasts: %j; may be plain HTTP: %j', (code, sentence, lasting, plain) => {
    expect(networkSentence(failed(code))).toContain(sentence);
    expect(isLasting(failed(code))).toBe(lasting);
    expect(speaksNoTls(failed(code))).toBe(plain);
  });

  it('of several addresses is told of four', () => {
    const failures = [1, 2, 3, 4, 5].map((end) => ({ address: `192.0.2.${end}`, code: 'ECONNREFUSED' }));
    const sentence = networkSentence(new Unreached('ECONNREFUSED', failures));
    expect(sentence).toContain('192.0.2.4: connection refused, …)');
    expect(sentence).not.toContain('192.0.2.5');
  });

  it('of a certificate for another name repeats what looks like names alone', () => {
    const error = Object.assign(failed('ERR_TLS_CERT_ALTNAME_INVALID'), {
      cert: { subjectaltname: 'DNS:a.test, DNS:*.b.test, DNS:"x\n, y", IP Address:192.0.2.1, URI:urn:x' },
    });
    expect(networkSentence(error)).toBe('its certificate is for another name: it is for a.test, *.b.test, 192.0.2.1');
  });

  it('is the proxy’s when the proxy failed, which says nothing about the host', () => {
    const error = new ProxyFailure('the proxy http://p.test', { cause: failed('ECONNREFUSED') });
    expect(networkSentence(error)).toBe('the proxy http://p.test: connection refused');
    expect(speaksNoTls(error)).toBe(false);
    expect(isLasting(error)).toBe(false);
    expect(isLasting(new ProxyFailure('the proxy', { said: 'no', lasting: true }))).toBe(true);
  });
});
