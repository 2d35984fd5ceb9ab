import { SFNClient } from '@aws-sdk/client-sfn';
import { sfnExecutions } from '../../adapters/aws/executions.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { stepHandler } from '../edge/step.ts';
import { recallBuild, recallBuildStep } from './recall-build.ts';

const { STATE_MACHINE_ARN: stateMachineArn } = readEnvironment('recall-build', process.env);
const run = recallBuild({ executions: sfnExecutions(new SFNClient(), stateMachineArn), stateMachineArn });

export const handler = stepHandler(recallBuildStep, ({ input }) => run(input));
