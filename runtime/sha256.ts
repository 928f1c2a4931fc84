// SHA-256 by the platform's own cryptography.
import { T3dcError } from './errors.ts';

/** Lower-case hexadecimal. Throws T3dcError 'bad-artifact' where the page is not secure. */
export async function sha256(data: Uint8Array): Promise<string> {
  if (!globalThis.crypto?.subtle)
    throw new T3dcError('bad-artifact', 'files cannot be verified: crypto.subtle is not available here', {
      hint: 'Serve the page over https or from localhost.',
    });
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data as BufferSource));
  return Array.from(digest, (b) => b.toString(16).padStart(2, '0')).join('');
}
