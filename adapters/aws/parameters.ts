import { GetParameterCommand, type SSMClient } from '@aws-sdk/client-ssm';
import type { Parameters } from '../../core/ports.ts';
import { unless } from './absence.ts';

export const ssmParameters = (ssm: SSMClient): Parameters => ({
  get: (name) =>
    unless(
      ['ParameterNotFound'],
      async () => (await ssm.send(new GetParameterCommand({ Name: name }))).Parameter?.Value,
    ),
});
