import { randomBytes } from 'node:crypto';
import { ServiceError } from '../front/service-error.ts';

/** Hexadecimal digits of a "longer" resource id (EC2 User Guide, "Resource IDs"). */
const DIGITS = 17;

export const newId = (prefix: string): string =>
  `${prefix}-${randomBytes(9).toString('hex').slice(0, DIGITS)}`;

/** EC2 API Reference, "Error codes": each noun has its own pair of codes for ids. */
const NOUNS = {
  instance: {
    prefix: 'i',
    malformed: 'InvalidInstanceID.Malformed',
    notFound: 'InvalidInstanceID.NotFound',
    what: 'instance ID',
  },
  volume: {
    prefix: 'vol',
    malformed: 'InvalidParameterValue',
    notFound: 'InvalidVolume.NotFound',
    what: 'volume',
  },
  snapshot: {
    prefix: 'snap',
    malformed: 'InvalidSnapshotID.Malformed',
    notFound: 'InvalidSnapshot.NotFound',
    what: 'snapshot',
  },
  image: {
    prefix: 'ami',
    malformed: 'InvalidAMIID.Malformed',
    notFound: 'InvalidAMIID.NotFound',
    what: 'image id',
  },
  vpc: {
    prefix: 'vpc',
    malformed: 'InvalidVpcID.Malformed',
    notFound: 'InvalidVpcID.NotFound',
    what: 'vpc ID',
  },
  subnet: {
    prefix: 'subnet',
    malformed: 'InvalidSubnetID.Malformed',
    notFound: 'InvalidSubnetID.NotFound',
    what: 'subnet ID',
  },
  launchTemplate: {
    prefix: 'lt',
    malformed: 'InvalidLaunchTemplateId.Malformed',
    notFound: 'InvalidLaunchTemplateId.NotFound',
    what: 'launch template ID',
  },
  securityGroup: {
    prefix: 'sg',
    malformed: 'InvalidGroupId.Malformed',
    notFound: 'InvalidGroup.NotFound',
    what: 'security group',
  },
} as const;

export type Noun = keyof typeof NOUNS;

const plural = (noun: Noun): string =>
  noun === 'image' ? "image id '[%]' does not" : `${NOUNS[noun].what} '%' does not`;

/** The record, or the noun's Malformed / NotFound error. */
export function need<T>(noun: Noun, records: { get(id: string): T | undefined }, id: string): T {
  const { prefix, malformed, notFound } = NOUNS[noun];
  if (!new RegExp(`^${prefix}-(?:[0-9a-f]{8}|[0-9a-f]{17})$`).test(id)) {
    throw new ServiceError(malformed, `Invalid id: "${id}" (expecting "${prefix}-...")`);
  }
  const found = records.get(id);
  if (found === undefined) {
    throw new ServiceError(notFound, `The ${plural(noun).replace('%', id)} exist`);
  }
  return found;
}
