import { s3Artifacts } from '../../adapters/aws/artifacts.ts';
import { executionHistory } from '../../adapters/aws/execution-history.ts';
import { eventNotices } from '../../adapters/aws/notices.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { eventHandler } from '../edge/event.ts';
import { recordBuild, recordBuildEvent } from './record-build.ts';

const settings = readEnvironment('record-build', process.env);
// Lambda sets it.
const { AWS_REGION: home = '' } = process.env;

export const handler = eventHandler(
  recordBuildEvent,
  recordBuild({
    history: executionHistory(process.env),
    artifacts: s3Artifacts(process.env, settings.ARTIFACTS_BUCKET),
    notices: eventNotices(process.env, home),
    clock: systemClock,
  }),
);
