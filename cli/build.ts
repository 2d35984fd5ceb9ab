import type { RouteCall } from '../core/api/routes.ts';
import type { Api } from './api.ts';
import { CommandProblem, EXIT } from './exit.ts';
import type { Environment } from './find-api.ts';
import { follow } from './follow.ts';
import { followMatrix } from './matrix.ts';
import { coordinatesText, readRecipeFile, readWholeRecipe, type WantedBuild } from './recipe-file.ts';
import type { Settings } from './setting.ts';
import { jsonText, print, printJsonLine, say } from './terminal.ts';

/** Builds that are run as one: how many at once, how many may fail, whether all are published or none. */
type MatrixWish = NonNullable<RouteCall<'start-build'>['body']['matrix']>;

interface BuildOptions {
  readonly set?: Settings;
  readonly json?: boolean;
  readonly detach?: boolean;
  readonly dryRun?: boolean;
  readonly matrix?: MatrixWish | undefined;
  readonly environment: Environment;
}

/** Starts the builds of recipes, and follows them. All recipes are read before the first build is started. */
export async function build(
  findApi: () => Promise<Api>,
  files: readonly string[],
  { set = {}, json = false, detach = false, dryRun = false, matrix, environment }: BuildOptions,
): Promise<number> {
  const wanted: WantedBuild[] = [];
  for (const file of files) wanted.push(...(await readRecipeFile(file, set)));
  if (matrix !== undefined && dryRun) {
    throw new CommandProblem(
      'a matrix is not planned as one',
      'leave its options out: each build is planned.',
      EXIT.usage,
    );
  }
  const api = await findApi();
  if (matrix !== undefined) return await startMatrix(api, files, { set, json, detach, matrix });
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

async function startMatrix(
  api: Api,
  [file = '', ...others]: readonly string[],
  {
    set,
    json,
    detach,
    matrix,
  }: {
    readonly set: Settings;
    readonly json: boolean;
    readonly detach: boolean;
    readonly matrix: MatrixWish;
  },
): Promise<number> {
  if (others.length > 0) {
    throw new CommandProblem(
      'a matrix is of one recipe',
      'name one file, or leave the options of matrices out.',
      EXIT.usage,
    );
  }
  const started = await api.call('start-build', {
    body: { recipe: await readWholeRecipe(file), parameters: set, matrix },
  });
  if (json) printJsonLine({ event: 'started', matrix: started.id, ...started });
  else say(`${started.id}: ${started.created ? 'started' : 'runs already'}`);
  if (!detach) return await followMatrix(api, started.id, json);
  if (!json) print(started.id);
  return EXIT.ok;
}
