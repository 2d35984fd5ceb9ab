import { sfnBuildRuns } from '../../adapters/aws/build-runs.ts';
import { s3Records } from '../../adapters/aws/records.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { showMatrix } from './show-matrix.ts';

const settings = readEnvironment('show-matrix', process.env);

export const handler = apiHandler(
  'show-matrix',
  showMatrix({
    matrices: sfnBuildRuns(process.env, settings.MATRIX_STATE_MACHINE_ARN),
    runs: sfnBuildRuns(process.env, settings.STATE_MACHINE_ARN),
    records: s3Records(process.env, settings.ARTIFACTS_BUCKET),
    clock: systemClock,
  }),
);
