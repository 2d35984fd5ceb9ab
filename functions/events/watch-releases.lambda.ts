import { setTimeout as pause } from 'node:timers/promises';
import { EC2Client } from '@aws-sdk/client-ec2';
import { sfnBuildRuns } from '../../adapters/aws/build-runs.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { eventNotices } from '../../adapters/aws/notices.ts';
import { s3Records } from '../../adapters/aws/records.ts';
import { httpMirror } from '../../adapters/mirror/http-mirror.ts';
import { regionOf } from '../../core/build-state.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { updateServer } from '../../core/update-server.ts';
import { eventHandler, log } from '../edge/event.ts';
import { watchReleases, watchReleasesEvent } from './watch-releases.ts';

const settings = readEnvironment('watch-releases', process.env);
const mirror = httpMirror(pause);
const run = watchReleases({
  mirror,
  updates: updateServer(mirror),
  images: ec2Images(new EC2Client()),
  runs: sfnBuildRuns(process.env, settings.STATE_MACHINE_ARN),
  records: s3Records(process.env, settings.ARTIFACTS_BUCKET),
  notices: eventNotices(process.env, regionOf(settings.STATE_MACHINE_ARN)),
  clock: systemClock,
  log,
  settings,
});

export const handler = eventHandler(watchReleasesEvent, run);
