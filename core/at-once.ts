/** Does the work for all items, so many at once, and waits for all of them also when some fail. */
export async function atOnce<T, R>(
  limit: number,
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<PromiseSettledResult<R>[]> {
  const results: PromiseSettledResult<R>[] = [];
  const queue = items.entries();
  const worker = async () => {
    // One iterator for all: each entry is taken once.
    for (const [index, item] of queue) {
      results[index] = await work(item).then(
        (value) => ({ status: 'fulfilled', value }) as const,
        (reason: unknown) => ({ status: 'rejected', reason }) as const,
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}

/** Lambda's function has a third of a CPU and requests mostly wait: eight regions keep it busy, and no API is asked more than once at a time in each. */
export const REGIONS_AT_ONCE = 8;

/** The same for regions; throws the first error, when all are through. */
export async function inRegions<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results = await atOnce(REGIONS_AT_ONCE, items, work);
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}
