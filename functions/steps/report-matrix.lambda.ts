import { SFNClient } from '@aws-sdk/client-sfn';
import { sfnExecutions } from '../../adapters/aws/executions.ts';
import { s3Records } from '../../adapters/aws/records.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { reportMatrix, reportMatrixStep } from './report-matrix.ts';

const settings = readEnvironment('report-matrix', process.env);
const run = reportMatrix({
  executions: sfnExecutions(new SFNClient(), settings.STATE_MACHINE_ARN),
  records: s3Records(process.env, settings.ARTIFACTS_BUCKET),
});

export const handler = stepHandler(reportMatrixStep, ({ input }) => run(input));
