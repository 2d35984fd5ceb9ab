import type { Parameters } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { jsonService } from './json-service.ts';

/** SecureString parameters of one region, decrypted. */
export function secretParameters(environment: NodeJS.ProcessEnv, region: string): Parameters {
  const call = jsonService(environment, region, { service: 'ssm', target: 'AmazonSSM' });
  return {
    async get(name) {
      const answer = await unless(['ParameterNotFound'], () =>
        call('GetParameter', { Name: name, WithDecryption: true }),
      );
      return (answer as { readonly Parameter: { readonly Value: string } } | undefined)?.Parameter.Value;
    },
  };
}
