import type {
  DisableEbsEncryptionByDefaultCommandInput,
  DisableEbsEncryptionByDefaultResult,
  EnableEbsEncryptionByDefaultCommandInput,
  EnableEbsEncryptionByDefaultResult,
  GetEbsDefaultKmsKeyIdCommandInput,
  GetEbsDefaultKmsKeyIdResult,
  GetEbsEncryptionByDefaultCommandInput,
  GetEbsEncryptionByDefaultResult,
} from '@aws-sdk/client-ec2';
import { ServiceError } from '../front/service-error.ts';
import { EBS_ALIAS } from '../kms/keys.ts';
import { type Action, action } from './action.ts';
import type { Region } from './region.ts';

/** The key does not exist here: EC2 finds out after it has answered ("authenticates the KMS key asynchronously"). */
export class InaccessibleKey extends Error {
  override name = 'InaccessibleKey';

  constructor() {
    super('Given key ID is not accessible');
  }
}

/** A key as it was named, and its ARN unless the region has no such key. */
export interface WantedKey {
  name: string;
  arn: string | undefined;
}

/** The key that EBS takes when nobody names one: every account has its own in each region. */
export const ebsKey = (region: Region): string => region.keys.arnOf(EBS_ALIAS) ?? '';

/**
 * The key of a new disk, undefined for a disk in the clear. Amazon EBS User Guide, "How Amazon EBS encryption works",
 * outcomes: what comes of an encrypted snapshot is encrypted, by the same key unless another is named; encryption by
 * default makes the rest so; the key that nobody named is that of EBS.
 */
export function keyFor(
  region: Region,
  asked: { Encrypted?: boolean | undefined; KmsKeyId?: string | undefined },
  /** Key of the snapshot that it is made of. */
  origin: string | undefined,
): WantedKey | undefined {
  if (asked.KmsKeyId && asked.Encrypted !== true) {
    // CreateVolume, KmsKeyId: "If KmsKeyId is specified, the encrypted state must be true."
    throw new ServiceError(
      'InvalidParameterDependency',
      'The parameter KmsKeyId requires the parameter Encrypted to be set.',
    );
  }
  if (asked.Encrypted === false && origin !== undefined) {
    throw new ServiceError(
      'InvalidParameterCombination',
      'The encrypted flag cannot be false for what is made of an encrypted snapshot.',
    );
  }
  if (asked.KmsKeyId) return { name: asked.KmsKeyId, arn: region.keys.arnOf(asked.KmsKeyId) };
  if (origin !== undefined) return { name: origin, arn: origin };
  if (asked.Encrypted !== true && !region.account.encryptionByDefault) return undefined;
  return { name: EBS_ALIAS, arn: ebsKey(region) };
}

export const keyOfSnapshot = (region: Region, snapshotId: string | undefined): string | undefined =>
  region.snapshots.get(snapshotId ?? '')?.kmsKeyId;

export function encryptionActions(region: Region): Action[] {
  const set = (value: boolean) => {
    region.account.encryptionByDefault = value;
    return { EbsEncryptionByDefault: value };
  };
  return [
    action<GetEbsEncryptionByDefaultCommandInput, GetEbsEncryptionByDefaultResult>(
      'GetEbsEncryptionByDefault',
      [],
      () => ({ EbsEncryptionByDefault: region.account.encryptionByDefault }),
    ),
    action<EnableEbsEncryptionByDefaultCommandInput, EnableEbsEncryptionByDefaultResult>(
      'EnableEbsEncryptionByDefault',
      [],
      () => set(true),
    ),
    action<DisableEbsEncryptionByDefaultCommandInput, DisableEbsEncryptionByDefaultResult>(
      'DisableEbsEncryptionByDefault',
      [],
      () => set(false),
    ),
    action<GetEbsDefaultKmsKeyIdCommandInput, GetEbsDefaultKmsKeyIdResult>(
      'GetEbsDefaultKmsKeyId',
      [],
      () => ({ KmsKeyId: ebsKey(region) }),
    ),
  ];
}
