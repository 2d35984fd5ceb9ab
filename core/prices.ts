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
  /** A GB to another region: what copying an image costs (EC2 pricing, "Data transfer"). */
  readonly transferGigabyte: number;
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
  /** Those that are not known of the region: us-east-1's stand in for them. */
  readonly standIns: readonly (keyof PriceList)[];
}

/** Whose prices stand in for what is not known of another region. */
export const usualRegion = 'us-east-1';

const types = ['m6i.large', 'm5.large', 'm7g.large', 'm6g.large'] as const;

/** An hour of each of these types, in their order. */
const hours = (...dollars: readonly [number, number, number, number]): Record<string, number> =>
  Object.fromEntries(types.map((type, index) => [type, dollars[index] ?? 0]));

/** One price in each region that the table knows. */
const alike = <Value>(value: Value) =>
  ({
    'us-east-1': value,
    'us-east-2': value,
    'us-west-1': value,
    'us-west-2': value,
    'ca-central-1': value,
    'eu-west-1': value,
    'eu-west-2': value,
    'eu-west-3': value,
    'eu-north-1': value,
    'eu-central-1': value,
    'ap-northeast-1': value,
    'ap-southeast-1': value,
    'ap-southeast-2': value,
  }) as const;

/**
 * List prices, on demand, without free tiers, taxes and discounts. They are data for estimates and receipts, not for bills: the Price List API
 * is right when they differ. Each kind has where its numbers come from and of when they are; a region that a kind does not name was not found
 * there, and is not guessed.
 */
const table: {
  readonly [Kind in keyof PriceList]: {
    readonly asOf: string;
    /** Of all regions alike, when it is not by region. */
    readonly everywhere?: PriceList[Kind];
    readonly [region: `${string}-${string}-${number}`]: PriceList[Kind];
  };
} = {
  // us-east-1 from aws.amazon.com/ec2/pricing/on-demand; the others from the public catalogue skypilot-org/skypilot-catalog
  // (catalogs/v8/aws/vms.csv), which is made from the Price List API, and agrees on us-east-1. m7g and m6g by their 2xlarge and xlarge there.
  instanceHour: {
    asOf: '2026-11',
    'us-east-1': hours(0.096, 0.096, 0.0816, 0.077),
    'us-east-2': hours(0.096, 0.096, 0.0816, 0.077),
    'us-west-1': hours(0.112, 0.112, 0.0952, 0.0896),
    'us-west-2': hours(0.096, 0.096, 0.0816, 0.077),
    'ca-central-1': hours(0.107, 0.107, 0.09095, 0.0856),
    'eu-west-1': hours(0.107, 0.107, 0.09095, 0.086),
    'eu-west-2': hours(0.111, 0.111, 0.09435, 0.0888),
    'eu-west-3': hours(0.112, 0.112, 0.0952, 0.09),
    'eu-north-1': hours(0.102, 0.102, 0.0867, 0.082),
    'eu-central-1': hours(0.115, 0.115, 0.09775, 0.092),
    'ap-northeast-1': hours(0.124, 0.124, 0.1054, 0.099),
    'ap-southeast-1': hours(0.12, 0.12, 0.102, 0.096),
    'ap-southeast-2': hours(0.12, 0.12, 0.102, 0.096),
  },
  // m5.large is 0.188 with Windows in us-east-1 and 0.096 without. That it is the same in all regions is a recollection.
  windowsCoreHour: { asOf: '2026-11', everywhere: 0.046 },
  // "$0.005 per IP per hour for all public IPv4 addresses", in all regions since February 2024 (AWS News Blog, July 2023).
  publicAddressHour: { asOf: '2024-02', everywhere: 0.005 },
  // us-east-1 from aws.amazon.com/ebs/pricing; the others by a table of public code on GitHub, which is right about us-east-1, and a recollection agrees.
  gp3GigabyteMonth: {
    asOf: '2026-11',
    'us-east-1': 0.08,
    'us-east-2': 0.08,
    'us-west-2': 0.08,
    'ca-central-1': 0.088,
    'eu-west-1': 0.088,
    'eu-west-2': 0.0928,
    'eu-west-3': 0.0928,
    'eu-north-1': 0.0836,
    'eu-central-1': 0.0952,
    'ap-northeast-1': 0.096,
    'ap-southeast-1': 0.096,
    'ap-southeast-2': 0.096,
  },
  // us-east-1 from aws.amazon.com/ebs/pricing; eu-west-1 and eu-west-2 from AWS's price file of 2017 (pricing-ebs.js, as ligoj/plugin-prov-aws
  // keeps it); the others are recollections.
  snapshotGigabyteMonth: {
    asOf: '2026-11',
    'us-east-1': 0.05,
    'us-east-2': 0.05,
    'us-west-2': 0.05,
    'eu-west-1': 0.05,
    'eu-west-2': 0.053,
    'eu-central-1': 0.054,
    'ap-southeast-2': 0.055,
  },
  // $0.006 for a thousand in "a Region that charges" this (EBS User Guide, "Pricing for EBS direct APIs"); us-east-1 is one (aws.amazon.com/ebs/pricing).
  putSnapshotBlock: { asOf: '2026-11', 'us-east-1': 0.006 / 1000 },
  // From aws.amazon.com/ec2/pricing/on-demand; to us-east-2 it is half of it. The others are recollections.
  transferGigabyte: {
    asOf: '2026-11',
    'us-east-1': 0.02,
    'us-east-2': 0.02,
    'us-west-2': 0.02,
    'eu-west-1': 0.02,
    'eu-west-2': 0.02,
    'eu-central-1': 0.02,
  },
  // From the table of aws.amazon.com/step-functions/pricing as web archives have it (2020), with which alexcasalboni/aws-lambda-power-tuning agrees.
  transition: {
    asOf: '2020-07',
    ...alike(0.025 / 1000),
    'us-west-1': 0.0279 / 1000,
    'eu-west-3': 0.0297 / 1000,
  },
  // aws.amazon.com/lambda/pricing for us-east-1. By the table of alexcasalboni/aws-lambda-power-tuning only regions that are not here have others.
  lambdaGigabyteSecond: { asOf: '2026-11', ...alike(0.0000166667) },
  lambdaRequest: { asOf: '2026-11', ...alike(0.2 / 1_000_000) },
};

export function pricesOf(region: string): Prices {
  const standIns: (keyof PriceList)[] = [];
  const price = <Kind extends keyof PriceList>(kind: Kind): PriceList[Kind] => {
    const known = table[kind];
    const own = known[region as typeof usualRegion] ?? known.everywhere;
    if (own !== undefined) return own;
    standIns.push(kind);
    // The usual region has all that is not everywhere alike: a test holds the table to it.
    return known[usualRegion] as PriceList[Kind];
  };
  const list: PriceList = {
    instanceHour: price('instanceHour'),
    windowsCoreHour: price('windowsCoreHour'),
    publicAddressHour: price('publicAddressHour'),
    gp3GigabyteMonth: price('gp3GigabyteMonth'),
    snapshotGigabyteMonth: price('snapshotGigabyteMonth'),
    putSnapshotBlock: price('putSnapshotBlock'),
    transferGigabyte: price('transferGigabyte'),
    transition: price('transition'),
    lambdaGigabyteSecond: price('lambdaGigabyteSecond'),
    lambdaRequest: price('lambdaRequest'),
  };
  const dates = Object.values(table).map(({ asOf }) => asOf);
  return {
    ...list,
    region,
    asOf: [...new Set([dates.toSorted()[0], dates.toSorted().at(-1)])].join(' to '),
    source: 'AWS list prices on demand: core/prices.ts says where each comes from',
    standIns,
  };
}

const neighbours: readonly string[] = ['us-east-1', 'us-east-2'];

/** A GB from the region of these prices to another. */
export const transferPrice = (from: Prices, to: string): number =>
  // From N. Virginia to Ohio it is $0.01 (EC2 pricing, "Data transfer"); that it is the same the other way is a recollection.
  neighbours.includes(from.region) && neighbours.includes(to) ? 0.01 : from.transferGigabyte;

/** As AWS counts: EBS charges a month of 30 days in its examples, the difference is beyond an estimate. */
export const HOURS_PER_MONTH = 730;
