import { Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/** Says why a rule of AwsSolutions does not apply to a construct and what is in it; stands beside that construct. */
export function acknowledge(construct: IConstruct, rule: `AwsSolutions-${string}`, reason: string): void {
  Validations.of(construct).acknowledge({ id: rule, reason });
}
