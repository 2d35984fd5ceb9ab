import type { Api } from './api.ts';
import { CommandProblem } from './exit.ts';
import { readRecipeFile } from './recipe-file.ts';
import type { Settings } from './setting.ts';
import { print, printJsonLine, say } from './terminal.ts';

/** Has recipes built when a release appears that their `subscribe` asks for. Prints their names. */
export async function subscribe(
  findApi: () => Promise<Api>,
  files: readonly string[],
  { set = {}, json = false }: { readonly set?: Settings; readonly json?: boolean },
): Promise<void> {
  let api: Api | undefined;
  for (const file of files) {
    const [wanted, ...others] = await readRecipeFile(file, set);
    if (wanted === undefined || others.length > 0) {
      throw new CommandProblem(
        `${file} stands for ${others.length + 1} builds, and a subscription is for one recipe`,
        'pick one with --set, or leave the matrix out: the watcher builds for each release and architecture that `subscribe` names.',
      );
    }
    const { name } = wanted.recipe;
    api ??= await findApi();
    const subscription = await api.call('subscribe', {
      params: { name },
      body: { recipe: wanted.value as Record<string, unknown> },
    });
    if (json) printJsonLine(subscription);
    else {
      say(`${name}: built from now on when a release appears that it asks for`);
      print(name);
    }
  }
}

export async function unsubscribe(
  api: Api,
  names: readonly string[],
  { json = false }: { readonly json?: boolean },
): Promise<void> {
  for (const name of names) {
    const answer = await api.call('unsubscribe', { params: { name } });
    if (json) printJsonLine(answer);
    else {
      say(`${name}: built no more on its own; what was built stays`);
      print(name);
    }
  }
}
