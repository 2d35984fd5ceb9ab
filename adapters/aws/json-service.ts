import { endpointSuffix, signingClient } from './signing-client.ts';

/** What the last part of the target says of the protocol: "AWS JSON 1.0 and 1.1 protocols" of Smithy. */
export interface JsonService {
  /** As in the service's host name and signature, such as `ssm`. */
  readonly service: string;
  /** What `X-Amz-Target` begins with, such as `AmazonSSM`. */
  readonly target: string;
  /** Version of the protocol; 1.1 when absent. */
  readonly json?: '1.0' | '1.1';
}

/** Attempts at one call, as the SDK's standard mode has it. */
const ATTEMPTS = 3;
const FIRST_PAUSE_MILLISECONDS = 200;

const throttled = ['ThrottlingException', 'Throttling', 'TooManyRequestsException', 'TooManyUpdates'];

/**
 * Calls of a service in one region by aws4fetch: a client of the SDK beside that of EC2 would take the functions that speak to every region past their 300 kB.
 * Endpoint and credentials come from the environment, like the SDK's (see artifacts.ts). Errors have the service's name for them.
 */
export function jsonService(
  environment: NodeJS.ProcessEnv,
  region: string,
  { service, target, json = '1.1' }: JsonService,
): (operation: string, input: object) => Promise<unknown> {
  const client = signingClient(environment, { service, region, retries: 0 });
  const url = environment.AWS_ENDPOINT_URL || `https://${service}.${region}.${endpointSuffix(region)}/`;

  const once = async (operation: string, body: string): Promise<unknown> => {
    const failed = (name: string, reason: string, cause?: unknown) =>
      Object.assign(new Error(`${operation} in ${region}: ${reason}`, { cause }), { name });
    let status: number;
    let text: string;
    try {
      const response = await client.fetch(url, {
        method: 'POST',
        body,
        headers: {
          'content-type': `application/x-amz-json-${json}`,
          'x-amz-target': `${target}.${operation}`,
        },
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      // fetch throws TypeError for every network failure; the state machine retries by name.
      if (!(error instanceof TypeError)) throw error;
      const reason = error.cause instanceof Error ? error.cause.message : '';
      throw failed('ServiceUnavailable', reason || error.message, error);
    }
    const answer = parsed(text);
    if (status === 200) return answer;
    const type = /([A-Za-z]+)$/.exec(textOf(answer?.__type))?.[1];
    const unnamed = status >= 500 ? 'ServiceUnavailable' : `HTTP${status}`;
    throw failed(type ?? unnamed, textOf(answer?.message) || textOf(answer?.Message) || `HTTP ${status}`);
  };

  return async (operation, input) => {
    const body = JSON.stringify(input);
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(operation, body);
      } catch (error) {
        const name = error instanceof Error ? error.name : '';
        const again =
          throttled.includes(name) || ['ServiceUnavailable', 'InternalServerError'].includes(name);
        if (!again || attempt === ATTEMPTS) throw error;
        // Full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog).
        const most = FIRST_PAUSE_MILLISECONDS * 2 ** attempt;
        await new Promise((resolve) => setTimeout(resolve, Math.random() * most));
      }
    }
  };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** A proxy or load balancer answers without JSON. */
function parsed(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
