import { invalid } from './errors.ts';

/** "ListSnapshotBlocks, ExpiryTime": a block token is good for seven days in AWS's examples. Milliseconds. */
const BLOCK_TOKEN_LIFE = 7 * 24 * 3_600_000;

export const blockToken = (snapshotId: string, index: number, now: number): string =>
  encode([snapshotId, index, expiry(now)]);

export const expiry = (now: number): number => now + BLOCK_TOKEN_LIFE;

/** Throws ValidationException when the token is not the one of this block, or too old. */
export function checkBlockToken(token: string | null, snapshotId: string, index: number, now: number): void {
  const [id, of, until] = decode(token);
  if (id !== snapshotId || of !== index || typeof until !== 'number' || until < now) {
    throw invalid('INVALID_BLOCK_TOKEN', 'The block token is invalid or has expired.');
  }
}

export const pageToken = (next: number): string => encode(['page', next]);

export function pageStart(token: string): number {
  const [kind, next] = decode(token);
  if (kind !== 'page' || typeof next !== 'number') {
    throw invalid('INVALID_PAGE_TOKEN', 'The page token is invalid.');
  }
  return next;
}

const encode = (value: readonly unknown[]): string => Buffer.from(JSON.stringify(value)).toString('base64');

function decode(token: string | null): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(token ?? '', 'base64').toString('utf8'));
    return Array.isArray(value) ? value : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}
