import { ssmImageParameters } from '../../adapters/aws/image-parameters.ts';
import { ec2ImageRules } from '../../adapters/aws/image-rules.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { kmsKeys } from '../../adapters/aws/keys.ts';
import { serviceQuotas } from '../../adapters/aws/quotas.ts';
import { regional } from '../../adapters/aws/regional.ts';
import { stepHandler } from '../edge/step.ts';
import { preflight, preflightStep } from './preflight.ts';

const run = preflight({
  regions: regional((ec2, region) => ({
    images: ec2Images(ec2),
    rules: ec2ImageRules(ec2),
    keys: kmsKeys(process.env, region),
    quotas: serviceQuotas(process.env, region),
    parameters: ssmImageParameters(process.env, region),
  })),
});

export const handler = stepHandler(preflightStep, ({ input, execution }) => run(input, execution));
