import { AwsClient } from 'aws4fetch';

/** A client for plain requests, signed with the credentials that Lambda puts into the environment. */
export function signingClient(
  environment: NodeJS.ProcessEnv,
  options: { readonly service: string; readonly region: string; readonly retries: number },
): AwsClient {
  const {
    AWS_ACCESS_KEY_ID: accessKeyId = '',
    AWS_SECRET_ACCESS_KEY: secretAccessKey = '',
    AWS_SESSION_TOKEN: sessionToken,
  } = environment;
  return new AwsClient({
    accessKeyId,
    secretAccessKey,
    ...(sessionToken ? { sessionToken } : {}),
    ...options,
  });
}

/** What the names of a region's endpoints end with. */
export const endpointSuffix = (region: string): string =>
  region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
