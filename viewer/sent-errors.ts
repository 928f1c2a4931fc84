// Errors between a page and its worker: the same class, code and parts on the other side.
import { DataError } from '../data/errors.ts';
import { type ErrorCode, messageOf, T3dcError } from '../runtime/errors.ts';
import type { SentError } from './messages.ts';

export function sendable(e: unknown): SentError {
  if (e instanceof T3dcError) {
    const { code, found, expected, hint } = e;
    return { kind: 'T3dcError', message: e.message, code, found: plain(found), expected: plain(expected), hint };
  }
  if (e instanceof DataError) return { kind: 'DataError', message: e.message, code: e.code };
  return { kind: 'Error', message: messageOf(e) };
}

export function received(e: SentError): Error {
  if (e.kind === 'Error') return new Error(e.message);
  // Messages hold their parts already.
  if (e.kind === 'DataError') return Object.assign(new DataError(e.code!, '', { fix: '' }), { message: e.message });
  const { found, expected, hint } = e;
  return Object.assign(new T3dcError(e.code as ErrorCode, e.message), { found, expected, hint });
}

/** What was found may be anything; only plain values travel for certain. */
const plain = (value: unknown): unknown =>
  value === undefined || typeof value === 'number' || typeof value === 'string' ? value : JSON.stringify(value);
