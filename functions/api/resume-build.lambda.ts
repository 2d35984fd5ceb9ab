import { sfnBuildRuns } from '../../adapters/aws/build-runs.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { resumeBuild } from './resume-build.ts';

const settings = readEnvironment('resume-build', process.env);

export const handler = apiHandler(
  'resume-build',
  resumeBuild({ runs: sfnBuildRuns(process.env, settings.STATE_MACHINE_ARN), clock: systemClock }),
);
