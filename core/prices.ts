/** What things cost in one region, in US dollars. */
interface PriceList {
  /** By instance type, an hour of Linux/UNIX, which is what FreeBSD is billed as. Billed by the second, at least a minute. */
  readonly instanceHour: Readonly<Record<string, number>>;
  /** What an hour of Windows costs more than one of Linux/UNIX, for each vCPU. */
  readonly windowsCoreHour: number;
  /** A public IPv4 address for an hour: the worker's way to the mirrors. */
  readonly publicAddressHour: number;
  /** A GB-month of gp3, with its 3,000 IOPS and 125 MB/s. */
  readonly gp3GigabyteMonth: number;
  /** A GB-month of blocks in a snapshot of the standard tier. */
  readonly snapshotGigabyteMonth: number;
  /** One PutSnapshotBlock of the EBS direct APIs. */
  readonly putSnapshotBlock: number;
  /** One transition of a standard state machine. */
  readonly transition: number;
  /** A GB-second of Lambda on arm64 or x86_64 at most: the dearer. */
  readonly lambdaGigabyteSecond: number;
  readonly lambdaRequest: number;
}

export interface Prices extends PriceList {
  readonly region: string;
  readonly asOf: string;
  readonly source: string;
  /** Whether all of them are the region's own: else those of us-east-1 stand in for what is not known. */
  readonly exact: boolean;
}

/** Where what is not known of a region comes from. */
export const usualRegion = 'us-east-1';

/**
 * List prices, on demand, without free tiers, taxes and discounts. From AWS's price pages (aws.amazon.com/ec2/pricing/on-demand,
 * /ebs/pricing, /step-functions/pricing, /lambda/pricing, /vpc/pricing) as of `AS_OF`. They are data for estimates, not for bills: the
 * Price List API is right when they differ.
 */
const usual: PriceList = {
  instanceHour: {
    'm6i.large': 0.096,
    'm5.large': 0.096,
    'm7g.large': 0.0816,
    'm6g.large': 0.077,
  },
  // m5.large is 0.188 with Windows and 0.096 without.
  windowsCoreHour: 0.046,
  publicAddressHour: 0.005,
  gp3GigabyteMonth: 0.08,
  snapshotGigabyteMonth: 0.05,
  // $0.006 for a thousand (aws.amazon.com/ebs/pricing).
  putSnapshotBlock: 0.006 / 1000,
  // $0.025 for a thousand.
  transition: 0.025 / 1000,
  lambdaGigabyteSecond: 0.0000166667,
  lambdaRequest: 0.2 / 1_000_000,
};

const AS_OF = '2026-11';
const SOURCE = 'AWS list prices';

export function pricesOf(region: string): Prices {
  return { ...usual, region, asOf: AS_OF, source: SOURCE, exact: region === usualRegion };
}

/** A GB from one region to another: what copying an image costs (EC2 pricing, "Data transfer"). */
export function transferGigabyte(_from: string, _to: string): number {
  return 0.02;
}

/** As AWS counts: EBS charges a month of 30 days in its examples, the difference is beyond an estimate. */
export const HOURS_PER_MONTH = 730;
