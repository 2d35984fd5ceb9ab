/**
 * List prices in US dollars, on demand, us-east-1, without free tiers, taxes and discounts. From AWS's price pages
 * (aws.amazon.com/ec2/pricing/on-demand, /ebs/pricing, /step-functions/pricing, /lambda/pricing, /vpc/pricing) as of `asOf`. They are data for
 * estimates, not for bills: the Price List API is right when they differ.
 */
export const prices = {
  region: 'us-east-1',
  asOf: '2026-11',
  /** By instance type, an hour of Linux/UNIX, which is what FreeBSD is billed as. Billed by the second, at least a minute. */
  instanceHour: {
    'm6i.large': 0.096,
    'm5.large': 0.096,
    'm7g.large': 0.0816,
    'm6g.large': 0.077,
  } as Readonly<Record<string, number>>,
  /** What an hour of Windows costs more than one of Linux/UNIX, for each vCPU: m5.large is 0.188 with Windows and 0.096 without. */
  windowsCoreHour: 0.046,
  /** A public IPv4 address for an hour: the worker's way to the mirrors. */
  publicAddressHour: 0.005,
  /** A GB-month of gp3, with its 3,000 IOPS and 125 MB/s. */
  gp3GigabyteMonth: 0.08,
  /** A GB-month of blocks in a snapshot of the standard tier. */
  snapshotGigabyteMonth: 0.05,
  /** A GB from us-east-1 to another region: what copying an image costs (EC2 pricing, "Data transfer"). */
  transferGigabyte: 0.02,
  /** One PutSnapshotBlock of the EBS direct APIs: $0.006 for a thousand (aws.amazon.com/ebs/pricing). */
  putSnapshotBlock: 0.006 / 1000,
  /** One transition of a standard state machine: $0.025 for a thousand. */
  transition: 0.025 / 1000,
  /** A GB-second of Lambda on arm64 or x86_64 at most: the dearer. */
  lambdaGigabyteSecond: 0.0000166667,
  lambdaRequest: 0.2 / 1_000_000,
} as const;

/** As AWS counts: EBS charges a month of 30 days in its examples, the difference is beyond an estimate. */
export const HOURS_PER_MONTH = 730;
