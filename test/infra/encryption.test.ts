import { beforeAll, describe, expect, it } from 'vitest';
import type { FunctionName } from '../../core/function-environment.ts';
import type { Statement } from '../../local/iam/policy.ts';
import { functionNames, type Synthesized, synthesize } from './synthesized.ts';

const KEY = 'arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d-0000-4000-8000-0123456789ab';
const aboutKeys = ({ Action }: Statement) => Action.some((action) => action.startsWith('kms:'));

let stack: Synthesized;
beforeAll(() => {
  stack = synthesize({ kmsKeys: KEY, distributionRegions: 'us-west-2' });
});

describe('the keys of a deployment', () => {
  it('are for those functions that make, attach or launch what is encrypted', () => {
    const named = functionNames.filter((name) => stack.statements(name).some(aboutKeys));
    expect(named.sort()).toEqual([
      'attach',
      'complete-snapshot',
      'distribute',
      'launch',
      'launch-boot-test',
      'launch-windows',
      'preflight',
      'start-snapshot',
      'swap-root',
      'write-blocks',
    ]);
  });

  // "Required IAM permissions for EBS encryption" and "AWS KMS condition keys" (kms:ViaService, kms:GrantIsForAWSResource).
  it.each<FunctionName>([
    'attach',
    'distribute',
    'launch',
    'launch-boot-test',
    'launch-windows',
    'swap-root',
  ])('serve %s through EC2 only', (name) => {
    const statements = stack.statements(name).filter(aboutKeys);
    expect(statements.flatMap(({ Action }) => Action).sort()).toEqual([
      'kms:CreateGrant',
      'kms:Decrypt',
      'kms:DescribeKey',
      'kms:GenerateDataKeyWithoutPlaintext',
      'kms:ReEncryptFrom',
      'kms:ReEncryptTo',
    ]);
    for (const { Resource, Condition } of statements) {
      expect(Resource).toEqual([KEY]);
      const services = [Condition.StringEquals?.['kms:ViaService'] ?? ''].flat();
      expect(services.filter((each) => !each.startsWith('ec2.'))).toEqual([]);
    }
    const grants = statements.find(({ Action }) => Action.includes('kms:CreateGrant'));
    expect(grants?.Condition.Bool).toEqual({ 'kms:GrantIsForAWSResource': 'true' });
  });

  it('are nobody’s when the deployment names none', () => {
    const plain = synthesize();
    expect(functionNames.filter((name) => plain.statements(name).some(aboutKeys))).toEqual([]);
  });
});
