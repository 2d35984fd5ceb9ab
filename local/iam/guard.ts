import type { Asked } from '../front/call.ts';
import { unsupported } from '../front/service-error.ts';
import { ec2Questions, type Records } from './ec2-questions.ts';
import { type Iam, REFUSALS } from './iam.ts';
import { allowed, type Question } from './policy.ts';
import {
  apiQuestions,
  autoScalingQuestions,
  ebsQuestions,
  eventsQuestions,
  keyQuestions,
  lambdaQuestions,
  quotaQuestions,
  s3Questions,
  ssmQuestions,
  statesQuestions,
} from './questions.ts';

/** Throws a service's refusal unless whoever has this key may do what is asked. */
export type Authorize = (asked: Asked, accessKey: string) => Promise<void>;

interface Parts {
  readonly iam: Iam;
  readonly accountId: string;
  /** Of the HTTP API. */
  readonly apiId: string;
  /** EC2's records of a region. */
  readonly records: (region: string) => Promise<Records>;
  /** Whether S3 has an object: `/bucket/key`, encoded. */
  readonly hasObject: (path: string) => Promise<boolean>;
}

/**
 * Where services ask IAM: about what a caller with a policy asks for, and about nobody else, so what has no authorization model here
 * stays usable. A presigned URL is judged by the role that signed it.
 */
export const guard =
  ({ iam, accountId, apiId, records, hasObject }: Parts): Authorize =>
  async ({ service, action, region, input }, accessKey) => {
    const role = iam.roleOf(accessKey);
    const statements = iam.statementsOf(role);
    if (role === undefined || statements === undefined) return;
    const place = { region, accountId };
    const ask = async (): Promise<Question[]> => {
      switch (service) {
        case 'autoscaling':
          return autoScalingQuestions(action);
        case 'ec2': {
          const { SourceRegion: name } = input;
          const here = await records(region);
          return ec2Questions(here, action, input, typeof name === 'string' ? await records(name) : here);
        }
        case 'ebs':
          return ebsQuestions(await records(region), action, input);
        case 'events':
          return eventsQuestions(place, action, input);
        case 's3':
          return s3Questions(action, input);
        case 'ssm':
          return ssmQuestions(place, action, input);
        case 'kms':
          return keyQuestions(
            (await records(region)).keys.arnOf(String(input.KeyId)) ?? String(input.KeyId),
            action,
          );
        case 'execute-api':
          return apiQuestions(place, apiId, input);
        case 'lambda':
          return lambdaQuestions(place, action, input);
        case 'servicequotas':
          return quotaQuestions(place, action, input);
        case 'states':
          return statesQuestions(place, action, input);
        case 'sts':
          // GetCallerIdentity: "No permissions are required to perform this operation."
          return [];
        default:
          throw unsupported(`the authorization of ${service}:${action}`);
      }
    };
    const refusal =
      service === 'ec2' || service === 's3' || service === 'execute-api' ? REFUSALS[service] : REFUSALS.json;
    const questions = await ask();
    iam.authorize(role, refusal, () => questions);

    // "If you don't have the s3:ListBucket permission, Amazon S3 returns an HTTP status code 403" for an object that is missing
    // (GetObject, Permissions; the same for HeadObject and for the source of a copy).
    for (const { action: done, resource } of questions) {
      if (done !== 's3:GetObject') continue;
      const path = resource.replace('arn:aws:s3:::', '');
      const list = {
        action: 's3:ListBucket',
        resource: `arn:aws:s3:::${path.split('/')[0]}`,
        context: {},
      };
      if (allowed(statements, list)) continue;
      const encoded = path.split('/').map(encodeURIComponent).join('/');
      if (!(await hasObject(`/${encoded}`))) throw iam.refused(role, REFUSALS.s3, list);
    }
  };
