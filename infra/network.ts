import { CfnSecurityGroup, IpAddresses, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import type { FoundrySettings } from './settings.ts';

export interface WorkerNetwork {
  /** In the order in which zones are tried. */
  readonly subnetIds: readonly string[];
  readonly securityGroupId: string;
}

/** Where workers live: public subnets, because a NAT gateway bills by the hour and a worker is there for minutes. */
export function workerNetwork(
  scope: Construct,
  { network, zones }: Pick<FoundrySettings, 'network' | 'zones'>,
): WorkerNetwork {
  if (network) {
    return { subnetIds: network.subnetIds, securityGroupId: workerSecurityGroup(scope, network.vpcId) };
  }
  const vpc = new Vpc(scope, 'Vpc', {
    // 59 workers a zone, four zones: the regional quota of running instances comes first.
    ipAddresses: IpAddresses.cidr('10.83.0.0/24'),
    // Without names CDK takes the first two zones of the account: some regions offer a new account no third.
    ...(zones ? { availabilityZones: [...zones] } : { maxAzs: 2 }),
    natGateways: 0,
    // A public address is the worker's way to the release mirror.
    subnetConfiguration: [
      { name: 'Worker', subnetType: SubnetType.PUBLIC, cidrMask: 26, mapPublicIpOnLaunch: true },
    ],
    // CloudFormation cannot do this: CDK brings a small function that runs at deployment only.
    restrictDefaultSecurityGroup: true,
  });
  acknowledge(
    vpc,
    'AwsSolutions-VPC7',
    'A worker takes no connection and its own are the mirror and S3, which its console log names. Flow logs would record a stranger’s port scans and bill for them.',
  );
  return {
    subnetIds: vpc.publicSubnets.map(({ subnetId }) => subnetId),
    securityGroupId: workerSecurityGroup(scope, vpc.vpcId),
  };
}

/** Nothing in; out to mirrors and S3. By id alone, so that a VPC of one's own needs no look-up. */
function workerSecurityGroup(scope: Construct, vpcId: string): string {
  const outTo = (port: number, description: string) => ({
    ipProtocol: 'tcp',
    fromPort: port,
    toPort: port,
    cidrIp: '0.0.0.0/0',
    description,
  });
  return new CfnSecurityGroup(scope, 'WorkerSecurityGroup', {
    vpcId,
    groupDescription: 'ami-foundry workers: nothing in, out to release mirrors and S3',
    securityGroupIngress: [],
    // DNS, NTP and instance metadata are the VPC's own addresses, which security groups do not filter (VPC User Guide, "Security groups").
    securityGroupEgress: [
      outTo(443, 'S3 and release mirrors'),
      outTo(80, 'release mirrors without TLS: every set is checked by SHA-256'),
    ],
  }).attrGroupId;
}
