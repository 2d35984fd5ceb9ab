import { sfnBuildRuns } from '../../adapters/aws/build-runs.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { abortMatrix } from './abort-matrix.ts';

const settings = readEnvironment('abort-matrix', process.env);

export const handler = apiHandler(
  'abort-matrix',
  abortMatrix({ matrices: sfnBuildRuns(process.env, settings.MATRIX_STATE_MACHINE_ARN) }),
);
