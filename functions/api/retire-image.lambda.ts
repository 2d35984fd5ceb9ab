import { lambdaFunctions } from '../../adapters/aws/functions.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { retireImage } from './retire-image.ts';

const settings = readEnvironment('retire-image', process.env);
// Lambda sets it.
const { AWS_REGION: region = '' } = process.env;

export const handler = apiHandler(
  'retire-image',
  retireImage({ functions: lambdaFunctions(process.env, region), settings }),
);
