import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { ec2ImageAccess } from '../../adapters/aws/image-access.ts';
import { ssmImageParameters } from '../../adapters/aws/image-parameters.ts';
import { ec2ImageShelf } from '../../adapters/aws/image-shelf.ts';
import { ec2ImageUses } from '../../adapters/aws/image-uses.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { eventNotices } from '../../adapters/aws/notices.ts';
import { parameterUses } from '../../adapters/aws/parameter-uses.ts';
import { s3Records } from '../../adapters/aws/records.ts';
import { regional } from '../../adapters/aws/regional.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { eventHandler, log } from '../edge/event.ts';
import { retention, retentionEvent } from './retention.ts';

const settings = readEnvironment('retention', process.env);
// Lambda sets both.
const { AWS_REGION: home = '', AWS_LAMBDA_FUNCTION_NAME: self = '' } = process.env;

const run = retention({
  places: [home, ...(settings.DISTRIBUTION_REGIONS ?? []).filter((region) => region !== home)],
  regions: regional((client, region) => ({
    images: ec2Images(client),
    snapshots: ec2Snapshots(client),
    access: ec2ImageAccess(client),
    parameters: ssmImageParameters(process.env, region),
    uses: ec2ImageUses(client, {
      autoScaling: new AutoScalingClient({ region }),
      parameters: parameterUses(process.env, region, settings.PARAMETER_PREFIX),
    }),
    shelf: ec2ImageShelf(client),
  })),
  records: s3Records(process.env, settings.ARTIFACTS_BUCKET),
  notices: eventNotices(process.env, home),
  clock: systemClock,
  log,
  // Versions 1 and 2 of the AWS CLI take a blob from a file alike, and from an argument each in its own way.
  undo: (imageId) =>
    `echo '{"restore":"${imageId}"}' | aws lambda invoke --region ${home} --function-name ${self} --payload fileb:///dev/stdin /dev/stdout`,
  settings,
});

export const handler = eventHandler(retentionEvent, run);
