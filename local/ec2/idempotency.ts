import { createHash } from 'node:crypto';
import { ServiceError } from '../front/service-error.ts';

/** Persisted: token → what was asked and what was made. */
export type TokenTable = Record<string, { parameters: string; result: unknown; at: number }>;

/** "Ensuring idempotency in Amazon EC2 API requests": tokens are kept for at least 24 hours, 64 ASCII characters at most. */
const KEEP_MILLISECONDS = 24 * 3600 * 1000;
const TOKEN_CHARACTERS = 64;

/**
 * Runs `make` once per (action, client token). Same token, same parameters: the first result. Same token, other
 * parameters: IdempotentParameterMismatch (same page).
 */
export function once<T>(
  tokens: TokenTable,
  action: string,
  input: { ClientToken?: string | undefined },
  now: number,
  make: () => T,
): T {
  const token = input.ClientToken;
  if (token === undefined || token === '') return make();
  if (token.length > TOKEN_CHARACTERS) {
    throw new ServiceError(
      'InvalidParameterValue',
      `Client token may not be longer than ${TOKEN_CHARACTERS} characters`,
    );
  }
  for (const [key, entry] of Object.entries(tokens)) {
    if (now - entry.at > KEEP_MILLISECONDS) delete tokens[key];
  }
  const key = `${action} ${token}`;
  const parameters = createHash('sha256').update(canonical(input)).digest('hex');
  const known = tokens[key];
  if (known) {
    if (known.parameters !== parameters) {
      throw new ServiceError(
        'IdempotentParameterMismatch',
        'Arguments on this idempotent request are inconsistent with arguments used in previous request(s).',
      );
    }
    return known.result as T;
  }
  const result = make();
  tokens[key] = { parameters, result, at: now };
  return result;
}

/** JSON with sorted keys, so that the order of parameters on the wire means nothing. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}
