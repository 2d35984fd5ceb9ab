import { s3Records } from '../../adapters/aws/records.ts';
import { systemClock } from '../../core/clock.ts';
import { readEnvironment } from '../../core/function-environment.ts';
import { apiHandler } from '../edge/http.ts';
import { subscribe } from './subscribe.ts';

const { ARTIFACTS_BUCKET } = readEnvironment('subscribe', process.env);

export const handler = apiHandler(
  'subscribe',
  subscribe({ records: s3Records(process.env, ARTIFACTS_BUCKET), clock: systemClock }),
);
