import { s3Records } from '../../adapters/aws/records.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { listSubscriptions } from './list-subscriptions.ts';

const { ARTIFACTS_BUCKET } = readEnvironment('list-subscriptions', process.env);

export const handler = apiHandler(
  'list-subscriptions',
  listSubscriptions({ records: s3Records(process.env, ARTIFACTS_BUCKET) }),
);
