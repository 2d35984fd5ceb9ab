import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Api, type ApiPlace, ApiUnreachable, factoryApi, isLoopback } from './api.ts';
import { CommandProblem, EXIT } from './exit.ts';

/** What the options of a verb say about where the factory is. */
export interface Whereabouts {
  readonly api?: string | undefined;
  readonly local?: boolean | undefined;
  /** Of the local cloud. */
  readonly state?: string | undefined;
  readonly stack?: string | undefined;
  readonly awsRegion?: string | undefined;
  readonly awsProfile?: string | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export const DEFAULT_STACK = 'ami-foundry';

/** Where `make cloud` and `foundry cloud up` keep the local cloud. */
export const localState = new URL('../.state/cloud', import.meta.url).pathname;

/** What a local cloud that runs says of itself; local/background.ts writes it. */
interface RunningCloud {
  readonly endpoint: string;
}

/** The owner of a local cloud (local/front): everybody on this machine may be that. */
const localPlace = (url: string): ApiPlace => ({
  url,
  region: 'us-east-1',
  credentials: async () => ({ accessKeyId: 'local', secretAccessKey: 'local' }),
});

/** Finds the factory: by address, as the local cloud, or by its stack in CloudFormation. */
export async function findApi(where: Whereabouts, environment: Environment): Promise<Api> {
  return factoryApi(await findPlace(where, environment));
}

async function findPlace(where: Whereabouts, environment: Environment): Promise<ApiPlace> {
  // An option stands above the environment, whatever it says.
  if (where.local && where.api === undefined)
    return localPlace(await localEndpoint(where.state ?? localState));
  const asksForStack = where.stack !== undefined && where.api === undefined;
  const given = where.api ?? (asksForStack ? undefined : environment.FOUNDRY_API_URL || undefined);
  if (given === undefined) return await placeOfStack(where, environment);
  const url = readUrl(given);
  if (isLoopback(url)) return localPlace(url);
  const [, ofHost] = /\.execute-api\.([a-z0-9-]+)\.amazonaws\./.exec(url) ?? [];
  const region = where.awsRegion ?? ofHost ?? regionOf(environment);
  if (region === undefined) {
    throw new CommandProblem(
      `the region of ${url} is not known`,
      'say it: --aws-region, or AWS_REGION.',
      EXIT.usage,
    );
  }
  return { url, region, credentials: await awsCredentials(where, environment, region) };
}

function readUrl(text: string): string {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && (url.protocol === 'https:' || isLoopback(text))) {
    return text.replace(/\/+$/, '');
  }
  throw new CommandProblem(
    `${text} is not the address of an API`,
    'give an address such as https://abcdef.execute-api.eu-west-1.amazonaws.com, by https unless it is this machine.',
    EXIT.usage,
  );
}

async function localEndpoint(state: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(join(state, 'running.json'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new ApiUnreachable(
      `no local cloud runs with its state in ${state}`,
      'start one: foundry cloud up.',
      { cause: error },
    );
  }
  return (JSON.parse(text) as RunningCloud).endpoint;
}

/** The AWS CLI reads both; the SDK for JavaScript only the first. */
const regionOf = ({ AWS_REGION, AWS_DEFAULT_REGION }: Environment): string | undefined =>
  AWS_REGION || AWS_DEFAULT_REGION || undefined;

const noCredentials = (cause: unknown) =>
  new ApiUnreachable(
    `there are no AWS credentials: ${cause instanceof Error ? cause.message : String(cause)}`,
    'sign in as for the AWS CLI (aws configure, aws sso login, AWS_PROFILE), or ask a local cloud: --local.',
    { cause },
  );

async function awsCredentials(where: Whereabouts, environment: Environment, region: string) {
  const { fromNodeProviderChain } = await import('@aws-sdk/credential-providers');
  const profile = where.awsProfile ?? (environment.AWS_PROFILE || undefined);
  const provide = fromNodeProviderChain({
    clientConfig: { region },
    ...(profile === undefined ? {} : { profile }),
  });
  return async () => {
    try {
      return await provide();
    } catch (error) {
      throw noCredentials(error);
    }
  };
}

/** What CloudFormation says when it does not let us look. */
const refusals = /^(AccessDenied|.*Token.*|.*Signature.*|InvalidClientTokenId|UnrecognizedClientException)/;

async function placeOfStack(where: Whereabouts, environment: Environment): Promise<ApiPlace> {
  const stack = where.stack ?? DEFAULT_STACK;
  const { CloudFormationClient, DescribeStacksCommand } = await import('@aws-sdk/client-cloudformation');
  const asked = where.awsRegion ?? regionOf(environment);
  const profile = where.awsProfile ?? (environment.AWS_PROFILE || undefined);
  const client = new CloudFormationClient({
    ...(asked === undefined ? {} : { region: asked }),
    ...(profile === undefined ? {} : { profile }),
    maxAttempts: 2,
  });
  const region = await client.config.region().catch(() => {
    throw new CommandProblem(
      'it is not said where the factory is: there is no address and no AWS region',
      'give --api URL (FOUNDRY_API_URL), --local for the local cloud, or --aws-region (AWS_REGION) to look for its stack.',
      EXIT.usage,
    );
  });
  const credentials = await awsCredentials(where, environment, region);
  // Asked first: without credentials, what CloudFormation's client says is about credentials all the same.
  await credentials();
  const found = await client.send(new DescribeStacksCommand({ StackName: stack })).catch((error: unknown) => {
    throw stackUnseen(error, stack, region);
  });
  const url = found.Stacks?.[0]?.Outputs?.find(({ OutputKey }) => OutputKey === 'ApiUrl')?.OutputValue;
  if (url === undefined) {
    throw new ApiUnreachable(
      `the stack ${stack} in ${region} has no output ApiUrl`,
      'it was deployed before the factory had an API: foundry deploy.',
    );
  }
  return { url: url.replace(/\/+$/, ''), region, credentials };
}

function stackUnseen(error: unknown, stack: string, region: string): ApiUnreachable {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  if (name === 'CredentialsProviderError') return noCredentials(error);
  if (name === 'ValidationError' && /does not exist/.test(message)) {
    return new ApiUnreachable(
      `there is no stack ${stack} in ${region}`,
      'deploy one: foundry deploy; or say where it is: --stack, --aws-region, --api, or --local.',
      { cause: error },
    );
  }
  return new ApiUnreachable(
    `CloudFormation in ${region} does not show the stack ${stack}: ${name}: ${message}`,
    refusals.test(name)
      ? 'sign in anew as for the AWS CLI (aws sso login, aws configure), check the clock, or give --api URL; the caller needs cloudformation:DescribeStacks.'
      : 'check the network, --aws-region and AWS_ENDPOINT_URL, or give --api URL.',
    { cause: error },
  );
}
