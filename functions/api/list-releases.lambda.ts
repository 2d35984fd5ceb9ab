import { s3Records } from '../../adapters/aws/records.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { listReleases } from './list-releases.ts';

const { ARTIFACTS_BUCKET } = readEnvironment('list-releases', process.env);

export const handler = apiHandler(
  'list-releases',
  listReleases({ records: s3Records(process.env, ARTIFACTS_BUCKET) }),
);
