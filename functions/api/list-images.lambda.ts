import { ec2ImageAccess } from '../../adapters/aws/image-access.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { regional } from '../../adapters/aws/regional.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { listImages } from './list-images.ts';

const settings = readEnvironment('list-images', process.env);
// Lambda sets it.
const { AWS_REGION: home = '' } = process.env;

export const handler = apiHandler(
  'list-images',
  listImages({
    places: [home, ...(settings.DISTRIBUTION_REGIONS ?? []).filter((region) => region !== home)],
    regions: regional((client) => ({ images: ec2Images(client), access: ec2ImageAccess(client) })),
  }),
);
