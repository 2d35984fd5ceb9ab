import type { Api } from './api.ts';
import { print, printJsonLine, say } from './terminal.ts';

/** Stops builds; the factory takes away all they made. Prints their ids. */
export async function abort(
  api: Api,
  ids: readonly string[],
  { json = false }: { readonly json?: boolean },
): Promise<void> {
  for (const id of ids) {
    const stopped = await api.call('abort-build', { params: { id } });
    if (json) printJsonLine({ event: 'aborted', build: stopped.id, ...stopped });
    else {
      say(`${stopped.id}: stopped; what it made goes now`);
      print(stopped.id);
    }
  }
}
