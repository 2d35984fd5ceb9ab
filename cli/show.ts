import type { Api } from './api.ts';
import { buildText } from './build-text.ts';
import { EXIT } from './exit.ts';
import type { Environment } from './find-api.ts';
import { follow } from './follow.ts';
import { findMatrix, followMatrix, matrixText, mayBeMatrix } from './matrix.ts';
import { print, printJson, printLink } from './terminal.ts';

interface ShowOptions {
  readonly json?: boolean;
  readonly follow?: boolean;
  readonly environment: Environment;
}

/** Prints all that is known of builds; with `follow` until they have ended. */
export async function show(
  api: Api,
  ids: readonly string[],
  { json = false, follow: follows = false, environment }: ShowOptions,
): Promise<number> {
  const [only = '', another] = ids;
  if (another === undefined && mayBeMatrix(only)) {
    const matrix = await findMatrix(api, only);
    if (matrix !== undefined) {
      if (follows) return await followMatrix(api, only, json);
      if (json) printJson(matrix);
      else print(matrixText(matrix).join('\n'));
      return EXIT.ok;
    }
  }
  if (follows) return await follow(api, ids, { json, environment });
  for (const [index, id] of ids.entries()) {
    const build = await api.call('show-build', { params: { id } });
    if (json) {
      printJson(build);
      continue;
    }
    if (index > 0) print('');
    print(buildText(build).join('\n'));
    printLink(`  execution     ${build.links.execution}\n  artifacts     ${build.links.artifacts}`);
  }
  return EXIT.ok;
}
