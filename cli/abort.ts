import type { Api } from './api.ts';
import { findMatrix, mayBeMatrix } from './matrix.ts';
import { print, printJsonLine, say } from './terminal.ts';

/** Stops builds; the factory takes away all they made. Prints their ids. */
export async function abort(
  api: Api,
  ids: readonly string[],
  { json = false }: { readonly json?: boolean },
): Promise<void> {
  for (const id of ids) {
    const route =
      mayBeMatrix(id) && (await findMatrix(api, id)) !== undefined ? 'abort-matrix' : 'abort-build';
    const stopped = await api.call(route, { params: { id } });
    if (json) printJsonLine({ event: 'aborted', build: stopped.id, ...stopped });
    else {
      say(`${stopped.id}: stopped; what it made goes now`);
      print(stopped.id);
    }
  }
}
