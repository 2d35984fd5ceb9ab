/**
 * The regions of the partition `aws` that a new account can use, and those that it must opt in to first (AWS Global
 * Infrastructure, "AWS Regions"; DescribeRegions' OptInStatus).
 */
const ENABLED = [
  'ap-northeast-1',
  'ap-northeast-2',
  'ap-northeast-3',
  'ap-south-1',
  'ap-southeast-1',
  'ap-southeast-2',
  'ca-central-1',
  'eu-central-1',
  'eu-north-1',
  'eu-west-1',
  'eu-west-2',
  'eu-west-3',
  'sa-east-1',
  'us-east-1',
  'us-east-2',
  'us-west-1',
  'us-west-2',
] as const;

const OPT_IN = [
  'af-south-1',
  'ap-east-1',
  'ap-south-2',
  'ap-southeast-3',
  'ap-southeast-4',
  'ap-southeast-5',
  'ap-southeast-7',
  'ca-west-1',
  'eu-central-2',
  'eu-south-1',
  'eu-south-2',
  'il-central-1',
  'me-central-1',
  'me-south-1',
  'mx-central-1',
] as const;

export type OptInStatus = 'opt-in-not-required' | 'opted-in' | 'not-opted-in';

/** Every region, with what this account may do there. */
export function regionsOf(optedIn: readonly string[]): ReadonlyMap<string, OptInStatus> {
  const regions = new Map<string, OptInStatus>();
  for (const name of ENABLED) regions.set(name, 'opt-in-not-required');
  for (const name of OPT_IN) regions.set(name, optedIn.includes(name) ? 'opted-in' : 'not-opted-in');
  for (const name of optedIn) {
    if (!regions.has(name)) throw new Error(`${name} is no region of AWS's that this cloud knows`);
  }
  return regions;
}

/** What a zone's id begins with: `use1` of us-east-1, `apne2` of ap-northeast-2 ("Availability Zone IDs"). */
export function zoneIdPrefix(region: string): string {
  const [area = '', direction = '', number = ''] = region.split('-');
  const short = direction.replace(
    /^(north|south)(east|west)$/,
    (_, a: string, b: string) => `${a[0]}${b[0]}`,
  );
  return `${area}${short === direction ? direction.slice(0, 1) : short}${number}`;
}

/** "Amazon EC2 instance hostname types": `ec2.internal` in us-east-1 only. */
export const privateDomain = (region: string): string =>
  region === 'us-east-1' ? 'ec2.internal' : `${region}.compute.internal`;
