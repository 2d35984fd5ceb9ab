import { s3Records } from '../../adapters/aws/records.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { unsubscribe } from './unsubscribe.ts';

const { ARTIFACTS_BUCKET } = readEnvironment('unsubscribe', process.env);

export const handler = apiHandler(
  'unsubscribe',
  unsubscribe({ records: s3Records(process.env, ARTIFACTS_BUCKET) }),
);
