import { EC2Client } from '@aws-sdk/client-ec2';
import { s3Artifacts } from '../../adapters/aws/artifacts.ts';
import { sfnBuildRuns } from '../../adapters/aws/build-runs.ts';
import { ec2Consoles } from '../../adapters/aws/consoles.ts';
import { executionHistory } from '../../adapters/aws/execution-history.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { showBuild } from './show-build.ts';

const settings = readEnvironment('show-build', process.env);

export const handler = apiHandler(
  'show-build',
  showBuild({
    runs: sfnBuildRuns(process.env, settings.STATE_MACHINE_ARN),
    history: executionHistory(process.env),
    artifacts: s3Artifacts(process.env, settings.ARTIFACTS_BUCKET),
    consoles: ec2Consoles(new EC2Client()),
    clock: systemClock,
    settings,
  }),
);
