import { createHash, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import type {
  AuthorizeSecurityGroupIngressCommandInput,
  AuthorizeSecurityGroupIngressResult,
  AvailabilityZone,
  CreateKeyPairCommandInput,
  CreateSecurityGroupCommandInput,
  CreateSecurityGroupResult,
  DeleteKeyPairCommandInput,
  DeleteKeyPairResult,
  DeleteSecurityGroupCommandInput,
  DeleteSecurityGroupResult,
  DescribeAvailabilityZonesCommandInput,
  DescribeAvailabilityZonesResult,
  DescribeKeyPairsCommandInput,
  DescribeKeyPairsResult,
  DescribeRegionsCommandInput,
  DescribeRegionsResult,
  DescribeSecurityGroupsCommandInput,
  DescribeSecurityGroupsResult,
  DescribeSubnetsCommandInput,
  DescribeSubnetsResult,
  DescribeVpcsCommandInput,
  DescribeVpcsResult,
  KeyPair,
  SecurityGroup,
  Subnet,
  Vpc,
} from '@aws-sdk/client-ec2';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { type Action, action } from './action.ts';
import { filtered } from './filters.ts';
import { need, newId } from './ids.ts';
import type { IngressRule, KeyPairRecord, NetworkRecord, SecurityGroupRecord } from './model.ts';
import { page } from './pagination.ts';
import type { Region } from './region.ts';
import { tagList, tagsFor } from './tag-sets.ts';

const makeKeyPair = promisify(generateKeyPair);

type SubnetRecord = NetworkRecord['subnets'][number];

export function networkActions(region: Region): Action[] {
  const { network } = region;
  const { accountId, region: regionName } = region.settings;
  const arn = (kind: string, id: string) => `arn:aws:ec2:${regionName}:${accountId}:${kind}/${id}`;

  const describeVpc = (): Vpc => ({
    CidrBlock: network.cidr,
    CidrBlockAssociationSet: [
      {
        AssociationId: `vpc-cidr-assoc-${network.vpcId.slice(4)}`,
        CidrBlock: network.cidr,
        CidrBlockState: { State: 'associated' },
      },
    ],
    DhcpOptionsId: 'default',
    InstanceTenancy: 'default',
    IsDefault: true,
    OwnerId: accountId,
    State: 'available',
    Tags: tagList(network.vpcTags),
    VpcId: network.vpcId,
  });
  const describeSubnet = (one: SubnetRecord): Subnet => ({
    AssignIpv6AddressOnCreation: false,
    AvailabilityZone: one.zone,
    AvailabilityZoneId: one.zoneId,
    AvailableIpAddressCount: 4091,
    CidrBlock: one.cidr,
    DefaultForAz: true,
    MapPublicIpOnLaunch: true,
    OwnerId: accountId,
    State: 'available',
    SubnetArn: arn('subnet', one.id),
    SubnetId: one.id,
    Tags: tagList(network.subnetTags[one.id] ?? {}),
    VpcId: network.vpcId,
  });
  const describeGroup = (one: SecurityGroupRecord): SecurityGroup => ({
    Description: one.description,
    GroupId: one.id,
    GroupName: one.name,
    IpPermissions: one.ingress.map((rule) => ({
      IpProtocol: rule.protocol,
      ...(rule.from === undefined ? {} : { FromPort: rule.from }),
      ...(rule.to === undefined ? {} : { ToPort: rule.to }),
      IpRanges: rule.cidrs.map((CidrIp) => ({ CidrIp })),
      Ipv6Ranges: rule.ipv6Cidrs.map((CidrIpv6) => ({ CidrIpv6 })),
      PrefixListIds: [],
      UserIdGroupPairs: [],
    })),
    IpPermissionsEgress: [
      {
        IpProtocol: '-1',
        IpRanges: [{ CidrIp: '0.0.0.0/0' }],
        Ipv6Ranges: [],
        PrefixListIds: [],
        UserIdGroupPairs: [],
      },
    ],
    OwnerId: accountId,
    SecurityGroupArn: arn('security-group', one.id),
    Tags: tagList(one.tags),
    VpcId: one.vpcId,
  });
  const describeZone = (one: SubnetRecord): AvailabilityZone => ({
    GroupName: regionName,
    NetworkBorderGroup: regionName,
    OptInStatus: 'opt-in-not-required',
    RegionName: regionName,
    State: 'available',
    ZoneId: one.zoneId,
    ZoneName: one.zone,
    ZoneType: 'availability-zone',
  });

  return [
    action<DescribeVpcsCommandInput, DescribeVpcsResult>(
      'DescribeVpcs',
      ['VpcIds', 'Filters.*', 'MaxResults', 'NextToken'],
      (input) => {
        const known = new Map([[network.vpcId, network]]);
        for (const id of input.VpcIds ?? []) need('vpc', known, id);
        const matching = filtered(
          [network],
          input.Filters,
          {
            cidr: () => [network.cidr],
            'cidr-block-association.cidr-block': () => [network.cidr],
            'is-default': () => [true],
            isDefault: () => [true], // The spelling of old API versions, which Packer 1.6 still sends.
            'owner-id': () => [accountId],
            state: () => ['available'],
            'vpc-id': () => [network.vpcId],
          },
          ['cidr-block-association.association-id', 'cidr-block-association.state', 'dhcp-options-id'],
          () => tagList(network.vpcTags),
        );
        const { items, ...more } = page(matching, input, { ids: input.VpcIds });
        return { Vpcs: items.map(describeVpc), ...more };
      },
    ),

    action<DescribeSubnetsCommandInput, DescribeSubnetsResult>(
      'DescribeSubnets',
      ['SubnetIds', 'Filters.*', 'MaxResults', 'NextToken'],
      (input) => {
        const byId = new Map(network.subnets.map((one) => [one.id, one]));
        const chosen = input.SubnetIds?.length
          ? input.SubnetIds.map((id) => need('subnet', byId, id))
          : network.subnets;
        const matching = filtered(
          chosen,
          input.Filters,
          {
            'availability-zone': (one) => [one.zone],
            availabilityZone: (one) => [one.zone],
            'availability-zone-id': (one) => [one.zoneId],
            'cidr-block': (one) => [one.cidr],
            'default-for-az': () => [true],
            defaultForAz: () => [true],
            'map-public-ip-on-launch': () => [true],
            'owner-id': () => [accountId],
            state: () => ['available'],
            'subnet-arn': (one) => [arn('subnet', one.id)],
            'subnet-id': (one) => [one.id],
            'vpc-id': () => [network.vpcId],
          },
          ['available-ip-address-count', 'outpost-arn'],
          (one) => tagList(network.subnetTags[one.id] ?? {}),
        );
        const { items, ...more } = page(matching, input, { ids: input.SubnetIds });
        return { Subnets: items.map(describeSubnet), ...more };
      },
    ),

    action<DescribeSecurityGroupsCommandInput, DescribeSecurityGroupsResult>(
      'DescribeSecurityGroups',
      ['GroupIds', 'GroupNames', 'Filters.*', 'MaxResults', 'NextToken'],
      (input) => {
        const groups = [...region.securityGroups.values()];
        const chosen =
          input.GroupIds?.length || input.GroupNames?.length
            ? [
                ...(input.GroupIds ?? []).map((id) => need('securityGroup', region.securityGroups, id)),
                ...(input.GroupNames ?? []).map((name) => groupNamed(groups, name)),
              ]
            : groups;
        const matching = filtered(
          chosen,
          input.Filters,
          {
            description: (one) => [one.description],
            'group-id': (one) => [one.id],
            'group-name': (one) => [one.name],
            'ip-permission.cidr': (one) => one.ingress.flatMap((rule) => rule.cidrs),
            'ip-permission.from-port': (one) => one.ingress.map((rule) => rule.from),
            'ip-permission.protocol': (one) => one.ingress.map((rule) => rule.protocol),
            'ip-permission.to-port': (one) => one.ingress.map((rule) => rule.to),
            'owner-id': () => [accountId],
            'vpc-id': (one) => [one.vpcId],
          },
          ['egress.ip-permission.cidr', 'ip-permission.group-id', 'ip-permission.group-name'],
          (one) => tagList(one.tags),
        );
        const { items, ...more } = page(matching, input, { ids: input.GroupIds });
        return { SecurityGroups: items.map(describeGroup), ...more };
      },
    ),

    action<CreateSecurityGroupCommandInput, CreateSecurityGroupResult>(
      'CreateSecurityGroup',
      ['Description', 'GroupName', 'TagSpecifications.*', 'VpcId'],
      (input) => {
        const { GroupName: name = '', Description: description = '' } = input;
        const vpcId = input.VpcId || network.vpcId;
        need('vpc', new Map([[network.vpcId, network]]), vpcId);
        // CreateSecurityGroup, GroupName: up to 255 characters, "can't start with sg-".
        if (name === '' || name.length > 255 || /^sg-/i.test(name)) {
          throw new ServiceError('InvalidParameterValue', `Invalid security group name '${name}'`);
        }
        if ([...region.securityGroups.values()].some((one) => one.name === name && one.vpcId === vpcId)) {
          throw new ServiceError(
            'InvalidGroup.Duplicate',
            `The security group '${name}' already exists for VPC '${vpcId}'`,
          );
        }
        const { 'security-group': tags } = tagsFor(input.TagSpecifications, ['security-group']);
        const id = newId('sg');
        region.securityGroups.set(id, { id, name, description, vpcId, ingress: [], tags });
        return { GroupId: id, SecurityGroupArn: arn('security-group', id), Tags: tagList(tags) };
      },
    ),

    action<AuthorizeSecurityGroupIngressCommandInput, AuthorizeSecurityGroupIngressResult>(
      'AuthorizeSecurityGroupIngress',
      [
        'CidrIp',
        'FromPort',
        'GroupId',
        'GroupName',
        'IpPermissions.FromPort',
        'IpPermissions.IpProtocol',
        'IpPermissions.IpRanges.*',
        'IpPermissions.Ipv6Ranges.*',
        'IpPermissions.ToPort',
        'IpProtocol',
        'ToPort',
      ],
      (input) => {
        const group = input.GroupId
          ? need('securityGroup', region.securityGroups, input.GroupId)
          : groupNamed([...region.securityGroups.values()], input.GroupName ?? '');
        const rules: IngressRule[] = (
          input.IpPermissions ?? [
            {
              IpProtocol: input.IpProtocol,
              FromPort: input.FromPort,
              ToPort: input.ToPort,
              IpRanges: input.CidrIp === undefined ? [] : [{ CidrIp: input.CidrIp }],
            },
          ]
        ).map((permission) => {
          const cidrs = (permission.IpRanges ?? []).map((range) => range.CidrIp ?? '');
          const ipv6Cidrs = (permission.Ipv6Ranges ?? []).map((range) => range.CidrIpv6 ?? '');
          if (cidrs.length + ipv6Cidrs.length === 0 || permission.IpProtocol === undefined) {
            throw new ServiceError('MissingParameter', 'A rule needs a protocol and at least one range');
          }
          for (const cidr of cidrs) {
            if (!/^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/.test(cidr)) {
              throw new ServiceError('InvalidParameterValue', `CIDR block ${cidr} is malformed`);
            }
          }
          return {
            protocol: permission.IpProtocol,
            ...(permission.FromPort === undefined ? {} : { from: permission.FromPort }),
            ...(permission.ToPort === undefined ? {} : { to: permission.ToPort }),
            cidrs,
            ipv6Cidrs,
          };
        });
        for (const rule of rules) {
          if (group.ingress.some((one) => JSON.stringify(one) === JSON.stringify(rule))) {
            throw new ServiceError('InvalidPermission.Duplicate', 'the specified rule already exists');
          }
        }
        group.ingress.push(...rules);
        return { Return: true };
      },
    ),

    action<DeleteSecurityGroupCommandInput, DeleteSecurityGroupResult>(
      'DeleteSecurityGroup',
      ['GroupId', 'GroupName'],
      (input) => {
        const group = input.GroupId
          ? need('securityGroup', region.securityGroups, input.GroupId)
          : groupNamed([...region.securityGroups.values()], input.GroupName ?? '');
        if (group.name === 'default') {
          throw new ServiceError(
            'CannotDelete',
            `the specified group: "${group.id}" name: "default" cannot be deleted by a user`,
          );
        }
        const user = [...region.instances.values()].find(
          (one) => one.state !== 'terminated' && one.securityGroupIds.includes(group.id),
        );
        if (user) {
          throw new ServiceError('DependencyViolation', `resource ${group.id} has a dependent object`);
        }
        region.securityGroups.delete(group.id);
        return { Return: true, GroupId: group.id };
      },
    ),

    action<DescribeAvailabilityZonesCommandInput, DescribeAvailabilityZonesResult>(
      'DescribeAvailabilityZones',
      ['AllAvailabilityZones', 'Filters.*', 'ZoneIds', 'ZoneNames'],
      (input) => {
        for (const name of input.ZoneNames ?? []) {
          if (!region.zones.includes(name)) {
            throw new ServiceError('InvalidParameterValue', `Invalid availability zone: [${name}]`);
          }
        }
        const chosen = network.subnets.filter(
          (one) =>
            (!input.ZoneNames?.length || input.ZoneNames.includes(one.zone)) &&
            (!input.ZoneIds?.length || input.ZoneIds.includes(one.zoneId)),
        );
        const matching = filtered(
          chosen,
          input.Filters,
          {
            'group-name': () => [regionName],
            'opt-in-status': () => ['opt-in-not-required'],
            'region-name': () => [regionName],
            state: () => ['available'],
            'zone-id': (one) => [one.zoneId],
            'zone-name': (one) => [one.zone],
            'zone-type': () => ['availability-zone'],
          },
          ['group-long-name', 'message', 'parent-zone-id', 'parent-zone-name'],
        );
        return { AvailabilityZones: matching.map(describeZone) };
      },
    ),

    action<DescribeRegionsCommandInput, DescribeRegionsResult>(
      'DescribeRegions',
      ['AllRegions', 'Filters.*', 'RegionNames'],
      (input) => {
        const { known } = region.neighbours;
        const unknown = input.RegionNames?.filter((name) => !known.has(name)) ?? [];
        if (unknown.length > 0) {
          throw new ServiceError(
            'InvalidParameterValue',
            `Invalid region(s): [${unknown.join(', ')}] provided.`,
          );
        }
        const all = [...known].map(([RegionName, OptInStatus]) => ({
          Endpoint: `ec2.${RegionName}.amazonaws.com`,
          OptInStatus,
          RegionName,
        }));
        // AllRegions: "Indicates whether to display all Regions, including Regions that are disabled for your account."
        const chosen = all.filter(({ RegionName, OptInStatus }) =>
          input.RegionNames?.length
            ? input.RegionNames.includes(RegionName)
            : input.AllRegions === true || OptInStatus !== 'not-opted-in',
        );
        const matching = filtered(
          chosen,
          input.Filters,
          {
            endpoint: (one) => [one.Endpoint],
            'opt-in-status': (one) => [one.OptInStatus],
            'region-name': (one) => [one.RegionName],
          },
          [],
        );
        return { Regions: matching };
      },
    ),

    action<CreateKeyPairCommandInput, KeyPair>(
      'CreateKeyPair',
      ['KeyFormat', 'KeyName', 'KeyType', 'TagSpecifications.*'],
      async (input) => {
        const name = input.KeyName ?? '';
        // CreateKeyPair, KeyName: "Up to 255 ASCII characters".
        if (name === '' || name.length > 255) {
          throw new ServiceError('InvalidParameterValue', `Invalid key pair name '${name}'`);
        }
        if ([...region.keyPairs.values()].some((one) => one.name === name)) {
          throw new ServiceError('InvalidKeyPair.Duplicate', `The keypair '${name}' already exists.`);
        }
        if ((input.KeyType ?? 'rsa') !== 'rsa')
          throw unsupported(`key pairs of type ${String(input.KeyType)}`);
        if ((input.KeyFormat ?? 'pem') !== 'pem') throw unsupported(`key format ${String(input.KeyFormat)}`);
        const { 'key-pair': tags } = tagsFor(input.TagSpecifications, ['key-pair']);
        const { privateKey } = await makeKeyPair('rsa', { modulusLength: 2048 });
        const KeyMaterial = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
        // "Verify the fingerprint": SHA-1 of the private key in PKCS #8 DER, for pairs that EC2 made.
        const der = privateKey.export({ type: 'pkcs8', format: 'der' });
        const digest = createHash('sha1').update(der).digest('hex');
        const record: KeyPairRecord = {
          id: newId('key'),
          name,
          fingerprint: digest.replace(/(..)(?=.)/g, '$1:'),
          createTime: region.clock.now(),
          tags,
        };
        region.keyPairs.set(record.id, record);
        return {
          KeyFingerprint: record.fingerprint,
          KeyMaterial,
          KeyName: name,
          KeyPairId: record.id,
          Tags: tagList(tags),
        };
      },
    ),

    action<DeleteKeyPairCommandInput, DeleteKeyPairResult>(
      'DeleteKeyPair',
      ['KeyName', 'KeyPairId'],
      (input) => {
        // A key pair that is not there is no error ("DeleteKeyPair"): the answer has no id then.
        const found = [...region.keyPairs.values()].find(
          (one) => one.id === input.KeyPairId || one.name === input.KeyName,
        );
        if (found) region.keyPairs.delete(found.id);
        return { Return: true, ...(found ? { KeyPairId: found.id } : {}) };
      },
    ),

    action<DescribeKeyPairsCommandInput, DescribeKeyPairsResult>(
      'DescribeKeyPairs',
      ['KeyNames', 'KeyPairIds', 'Filters.*'],
      (input) => {
        const all = [...region.keyPairs.values()];
        for (const name of input.KeyNames ?? []) {
          if (!all.some((one) => one.name === name)) {
            throw new ServiceError('InvalidKeyPair.NotFound', `The key pair '${name}' does not exist`);
          }
        }
        const chosen = all.filter(
          (one) =>
            (!input.KeyNames?.length || input.KeyNames.includes(one.name)) &&
            (!input.KeyPairIds?.length || input.KeyPairIds.includes(one.id)),
        );
        const matching = filtered(
          chosen,
          input.Filters,
          {
            'key-pair-id': (one) => [one.id],
            fingerprint: (one) => [one.fingerprint],
            'key-name': (one) => [one.name],
          },
          [],
          (one) => tagList(one.tags),
        );
        return {
          KeyPairs: matching.map((one) => ({
            CreateTime: new Date(one.createTime),
            KeyFingerprint: one.fingerprint,
            KeyName: one.name,
            KeyPairId: one.id,
            KeyType: 'rsa',
            Tags: tagList(one.tags),
          })),
        };
      },
    ),
  ];
}

function groupNamed(groups: readonly SecurityGroupRecord[], name: string): SecurityGroupRecord {
  const found = groups.find((one) => one.name === name);
  if (!found) throw new ServiceError('InvalidGroup.NotFound', `The security group '${name}' does not exist`);
  return found;
}
