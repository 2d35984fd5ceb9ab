import { setTimeout as pause } from 'node:timers/promises';
import { sfnBuildRuns } from '../../adapters/aws/build-runs.ts';
import { s3Records } from '../../adapters/aws/records.ts';
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
    matrices: sfnBuildRuns(process.env, settings.MATRIX_STATE_MACHINE_ARN),
    records: s3Records(process.env, settings.ARTIFACTS_BUCKET),
    fetchRecipe: publicRecipes(),
    clock: systemClock,
    pause,
  }),
);
