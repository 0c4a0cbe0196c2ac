// A certificate for the server, which nobody knows, and a name, which no DNS knows.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

import { SERVER_ADDRESS } from './namespaces.mjs';

/// The server's name, for those browsers that take any certificate. Firefox uses relays over TLS by name only.
export const SERVER_NAME = 'sluice.test';

/// The settings of a server with TLS. This process takes any certificate until the scope ends.
export function withTls(scope) {
  const folder = scope.folder();
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => join(folder, name));
  const quiet = { stdio: 'pipe' };
  execFileSync('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', key], quiet);
  const request = ['req', '-new', '-x509', '-key', key, '-subj', '/CN=sluice', '-days', '2', '-sha256'];
  execFileSync('openssl', [...request, '-addext', `subjectAltName=IP:${SERVER_ADDRESS},DNS:${SERVER_NAME}`, '-out', cert], quiet);
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  scope.defer(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED);
  return { 'tls.cert': cert, 'tls.key': key, 'http.public_url': `https://${SERVER_NAME}:8080` };
}
