interface Page {
  readonly nextToken: string | null;
}

/** As many as the API gives at once. */
const MOST = 100;

/** All pages of a list, or as many as make `most` items. */
export async function allPages<Answer extends Page, Item>(
  ask: (page: { readonly limit: string; readonly nextToken?: string }) => Promise<Answer>,
  itemsOf: (answer: Answer) => readonly Item[],
  most = Number.POSITIVE_INFINITY,
): Promise<Item[]> {
  const items: Item[] = [];
  let nextToken: string | null = null;
  do {
    const limit = String(Math.min(MOST, most - items.length));
    const answer: Answer = await ask({ limit, ...(nextToken === null ? {} : { nextToken }) });
    items.push(...itemsOf(answer));
    nextToken = answer.nextToken;
  } while (nextToken !== null && items.length < most);
  return items.slice(0, most);
}
