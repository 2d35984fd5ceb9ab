import type { Functions } from '../../core/ports.ts';
import { endpointSuffix, signingClient } from './signing-client.ts';

/** Lambda's Invoke by aws4fetch: one plain request ("AWS Lambda API Reference", Invoke). */
export const lambdaFunctions = (environment: NodeJS.ProcessEnv, region: string): Functions => {
  const client = signingClient(environment, { service: 'lambda', region, retries: 0 });
  const base = environment.AWS_ENDPOINT_URL || `https://lambda.${region}.${endpointSuffix(region)}`;
  return {
    async invoke(name, payload, milliseconds) {
      const failed = (code: string, reason: string, cause?: unknown) =>
        Object.assign(new Error(reason, { cause }), { name: code });
      let response: Response;
      let text: string;
      try {
        response = await client.fetch(
          `${base.replace(/\/+$/, '')}/2015-03-31/functions/${encodeURIComponent(name)}/invocations`,
          { method: 'POST', body: JSON.stringify(payload), signal: AbortSignal.timeout(milliseconds) },
        );
        text = await response.text();
      } catch (error) {
        if (error instanceof DOMException)
          throw failed('TimeoutError', `${name} takes longer than ${milliseconds} ms`, error);
        // fetch throws TypeError for every network failure.
        if (error instanceof TypeError) throw failed('ServiceUnavailable', error.message, error);
        throw error;
      }
      if (!response.ok) {
        const code = response.headers.get('x-amzn-errortype')?.split(':')[0];
        throw failed(code ?? `HTTP${response.status}`, `${name} cannot be invoked: ${text.slice(0, 500)}`);
      }
      const answer: unknown = JSON.parse(text || 'null');
      if (!response.headers.has('x-amz-function-error')) return answer;
      const { errorType = 'Error', errorMessage = '' } = answer as {
        errorType?: string;
        errorMessage?: string;
      };
      throw failed(errorType, errorMessage);
    },
  };
};
