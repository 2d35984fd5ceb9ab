import { ServiceError } from '../front/service-error.ts';

/**
 * One page. The token says where the last page ended, as opaque as AWS's. EC2 API Reference, "Pagination": MaxResults
 * and a list of ids exclude each other; most actions take 5 to 1,000.
 */
export function page<T>(
  items: readonly T[],
  input: { MaxResults?: number | undefined; NextToken?: string | undefined },
  {
    ids,
    minimum = 5,
    maximum = 1000,
  }: { ids?: readonly string[] | undefined; minimum?: number; maximum?: number } = {},
): { items: T[]; NextToken?: string } {
  const { MaxResults: size, NextToken: token } = input;
  if (size !== undefined) {
    if (ids !== undefined && ids.length > 0) {
      throw new ServiceError(
        'InvalidParameterCombination',
        'The parameter maxResults cannot be used with the parameter that lists ids',
      );
    }
    if (size < minimum || size > maximum) {
      throw new ServiceError(
        'InvalidParameterValue',
        `Value ( ${size} ) for parameter maxResults is invalid. Expecting a value between ${minimum} and ${maximum}.`,
      );
    }
  }
  let start = 0;
  if (token !== undefined && token !== '') {
    start = Number(/^from:(\d+)$/.exec(Buffer.from(token, 'base64url').toString())?.[1] ?? Number.NaN);
    if (!Number.isInteger(start)) {
      throw new ServiceError('InvalidNextToken', 'The specified NextToken is corrupted or not valid.');
    }
  }
  const end = size === undefined ? items.length : start + size;
  const slice = items.slice(start, end);
  return end < items.length
    ? { items: slice, NextToken: Buffer.from(`from:${end}`).toString('base64url') }
    : { items: slice };
}
