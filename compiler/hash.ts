import { createHash } from 'node:crypto';

/** Lower-case hexadecimal. */
export const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
