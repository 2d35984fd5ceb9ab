import { ec2ImageCopies } from '../../adapters/aws/image-copies.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { regional } from '../../adapters/aws/regional.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { systemClock } from '../../core/clock.ts';
import { stepHandler } from '../edge/step.ts';
import { distribute, distributeStep } from './distribute.ts';

const run = distribute({
  regions: regional((ec2) => ({
    images: ec2Images(ec2),
    snapshots: ec2Snapshots(ec2),
    copies: ec2ImageCopies(ec2),
  })),
  clock: systemClock,
});

export const handler = stepHandler(distributeStep, ({ input, execution }) => run(input, execution));
