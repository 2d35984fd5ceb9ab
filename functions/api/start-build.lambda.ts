import { setTimeout as pause } from 'node:timers/promises';
import { sfnBuildRuns } from '../../adapters/aws/build-runs.ts';
import { publicRecipes } from '../../adapters/web/public-recipes.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { startBuild } from './start-build.ts';

const settings = readEnvironment('start-build', process.env);

export const handler = apiHandler(
  'start-build',
  startBuild({
    runs: sfnBuildRuns(process.env, settings.STATE_MACHINE_ARN),
    fetchRecipe: publicRecipes(),
    clock: systemClock,
    pause,
  }),
);
