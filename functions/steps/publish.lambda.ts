import { setTimeout as pause } from 'node:timers/promises';
import { executionOutcomes } from '../../adapters/aws/execution-outcomes.ts';
import { ec2ImageAccess } from '../../adapters/aws/image-access.ts';
import { ssmImageParameters } from '../../adapters/aws/image-parameters.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { s3Records } from '../../adapters/aws/records.ts';
import { regional } from '../../adapters/aws/regional.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { publish, publishStep } from './publish.ts';

const settings = readEnvironment('publish', process.env);
const run = publish({
  regions: regional((ec2, region) => ({
    images: ec2Images(ec2),
    access: ec2ImageAccess(ec2),
    parameters: ssmImageParameters(process.env, region),
  })),
  records: s3Records(process.env, settings.ARTIFACTS_BUCKET),
  outcomes: (executionArn) => executionOutcomes(process.env, executionArn),
  clock: systemClock,
  pause,
});

export const handler = stepHandler(publishStep, ({ input, options, execution }) =>
  run(input, execution, options),
);
