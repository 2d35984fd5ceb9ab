import type { Keys } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { jsonService } from './json-service.ts';

/** DescribeKey's answer, as far as it is read. */
interface Answer {
  readonly KeyMetadata: {
    readonly Arn: string;
    readonly KeyState: string;
    readonly KeyManager?: string;
    readonly KeySpec?: string;
    readonly KeyUsage?: string;
  };
}

/** KMS of one region. */
export function kmsKeys(environment: NodeJS.ProcessEnv, region: string): Keys {
  const call = jsonService(environment, region, { service: 'kms', target: 'TrentService' });
  return {
    async describe(keyId) {
      const answer = await unless(['NotFoundException'], () => call('DescribeKey', { KeyId: keyId }));
      if (answer === undefined) return undefined;
      const {
        Arn,
        KeyState,
        KeyManager,
        KeySpec = 'SYMMETRIC_DEFAULT',
        KeyUsage = 'ENCRYPT_DECRYPT',
      } = (answer as Answer).KeyMetadata;
      // EBS takes symmetric keys for encryption only (EBS User Guide, "How Amazon EBS encryption works").
      const suits = KeySpec === 'SYMMETRIC_DEFAULT' && KeyUsage === 'ENCRYPT_DECRYPT';
      return {
        arn: Arn,
        state: suits ? KeyState : `${KeyState}, ${KeySpec} for ${KeyUsage}`,
        usable: suits && KeyState === 'Enabled',
        ofAws: KeyManager === 'AWS',
      };
    },
  };
}
