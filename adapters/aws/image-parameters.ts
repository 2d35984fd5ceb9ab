import type { ImageParameters } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { jsonService } from './json-service.ts';

/** GetParameter's answer, as far as it is read. */
interface Answer {
  readonly Parameter: {
    readonly Value: string;
    readonly Version: number;
    readonly Type: string;
    /** Absent of parameters that are older than data types. */
    readonly DataType?: string;
  };
}

/** Parameter Store of one region. */
export function ssmImageParameters(environment: NodeJS.ProcessEnv, region: string): ImageParameters {
  const call = jsonService(environment, region, { service: 'ssm', target: 'AmazonSSM' });
  return {
    async get(name) {
      const answer = await unless(['ParameterNotFound'], () => call('GetParameter', { Name: name }));
      if (answer === undefined) return undefined;
      const { Value, Version, Type, DataType = 'text' } = (answer as Answer).Parameter;
      return { value: Value, version: Version, type: Type, dataType: DataType };
    },

    async put(name, imageId) {
      await call('PutParameter', {
        Name: name,
        Value: imageId,
        Type: 'String',
        DataType: 'aws:ec2:image',
        Overwrite: true,
      });
    },

    async delete(name) {
      await unless(['ParameterNotFound'], () => call('DeleteParameter', { Name: name }));
    },
  };
}
