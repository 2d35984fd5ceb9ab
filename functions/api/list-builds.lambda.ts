import { sfnBuildRuns } from '../../adapters/aws/build-runs.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { listBuilds } from './list-builds.ts';

const settings = readEnvironment('list-builds', process.env);

export const handler = apiHandler(
  'list-builds',
  listBuilds({ runs: sfnBuildRuns(process.env, settings.STATE_MACHINE_ARN), clock: systemClock }),
);
