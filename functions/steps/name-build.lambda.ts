import { SFNClient } from '@aws-sdk/client-sfn';
import { sfnExecutions } from '../../adapters/aws/executions.ts';
import { s3Records } from '../../adapters/aws/records.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { nameBuild, nameBuildStep } from './name-build.ts';

const settings = readEnvironment('name-build', process.env);
const run = nameBuild({
  executions: sfnExecutions(new SFNClient(), settings.STATE_MACHINE_ARN),
  records: s3Records(process.env, settings.ARTIFACTS_BUCKET),
});

export const handler = stepHandler(nameBuildStep, ({ input }) => run(input));
