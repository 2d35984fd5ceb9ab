import type { Api } from './api.ts';
import { EXIT } from './exit.ts';
import type { Environment } from './find-api.ts';
import { follow } from './follow.ts';
import { coordinatesText, readRecipeFile, type WantedBuild } from './recipe-file.ts';
import type { Settings } from './setting.ts';
import { jsonText, print, printJsonLine, say } from './terminal.ts';

interface BuildOptions {
  readonly set?: Settings;
  readonly json?: boolean;
  readonly detach?: boolean;
  readonly dryRun?: boolean;
  readonly environment: Environment;
}

/** Starts the builds of recipes, and follows them. All recipes are read before the first build is started. */
export async function build(
  findApi: () => Promise<Api>,
  files: readonly string[],
  { set = {}, json = false, detach = false, dryRun = false, environment }: BuildOptions,
): Promise<number> {
  const wanted: WantedBuild[] = [];
  for (const file of files) wanted.push(...(await readRecipeFile(file, set)));
  const api = await findApi();
  const ids: string[] = [];
  for (const { value, coordinates } of wanted) {
    const started = await api.call('start-build', {
      body: { recipe: value as Record<string, unknown>, ...(dryRun ? { dryRun } : {}) },
    });
    ids.push(started.id);
    const place = coordinatesText(coordinates);
    if (json) printJsonLine({ event: dryRun ? 'planned' : 'started', build: started.id, ...started });
    else if (dryRun) {
      say(`${started.id}${place === '' ? '' : `  (${place})`}: ${started.status.toLowerCase()}`);
      print(jsonText(started.plan, 2));
    } else {
      say(
        `${started.id}${place === '' ? '' : `  (${place})`}: ${started.created ? 'started' : 'runs already'}`,
      );
      if (detach) print(started.id);
    }
  }
  if (dryRun || detach) return EXIT.ok;
  return await follow(api, ids, { json, fresh: true, environment });
}
