import { ServiceError } from '../front/service-error.ts';

/** One page of at most `most` items, which is also what comes when nobody says how many. */
export function pageOf<T>(
  items: readonly T[],
  { MaxResults: size, NextToken: token }: { MaxResults?: number | undefined; NextToken?: string | undefined },
  most: number,
): { items: T[]; NextToken?: string } {
  const length = size ?? most;
  if (length < 1 || length > most) {
    throw new ServiceError('ValidationException', `MaxResults must be 1 to ${most}`);
  }
  const start = token === undefined ? 0 : Number(token);
  if (!Number.isInteger(start)) {
    throw new ServiceError('InvalidNextToken', 'The specified token is not valid.');
  }
  const end = start + length;
  return {
    items: items.slice(start, end),
    ...(end < items.length ? { NextToken: String(end) } : {}),
  };
}
