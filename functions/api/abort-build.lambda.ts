import { sfnBuildRuns } from '../../adapters/aws/build-runs.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { abortBuild } from './abort-build.ts';

const settings = readEnvironment('abort-build', process.env);

export const handler = apiHandler(
  'abort-build',
  abortBuild({ runs: sfnBuildRuns(process.env, settings.STATE_MACHINE_ARN) }),
);
