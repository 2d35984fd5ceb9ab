import type {
  _InstanceType,
  DescribeInstanceTypeOfferingsCommandInput,
  DescribeInstanceTypeOfferingsResult,
  DescribeInstanceTypesCommandInput,
  DescribeInstanceTypesResult,
  InstanceTypeInfo,
} from '@aws-sdk/client-ec2';
import { ServiceError } from '../front/service-error.ts';
import { type Action, action } from './action.ts';
import { type FilterReader, filtered } from './filters.ts';
import { INSTANCE_TYPES, type InstanceTypeFacts } from './instance-type-table.ts';
import { page } from './pagination.ts';
import type { Region } from './region.ts';

export function instanceTypeActions(region: Region): Action[] {
  return [
    action<DescribeInstanceTypesCommandInput, DescribeInstanceTypesResult>(
      'DescribeInstanceTypes',
      ['InstanceTypes', 'Filters.*', 'MaxResults', 'NextToken'],
      (input) => {
        const unknown = (input.InstanceTypes ?? []).filter((name) => !INSTANCE_TYPES.has(name));
        if (unknown.length > 0) {
          throw new ServiceError(
            'InvalidInstanceType',
            `The following supplied instance types do not exist: [${unknown.join(', ')}]`,
          );
        }
        const chosen = [...INSTANCE_TYPES.values()].filter(
          (one) => !input.InstanceTypes?.length || (input.InstanceTypes as string[]).includes(one.name),
        );
        const matching = filtered(chosen, input.Filters, FILTERS, DOCUMENTED_FILTERS);
        const { items, ...more } = page(matching, input, { ids: input.InstanceTypes, maximum: 100 });
        return { InstanceTypes: items.map(describe), ...more };
      },
    ),

    action<DescribeInstanceTypeOfferingsCommandInput, DescribeInstanceTypeOfferingsResult>(
      'DescribeInstanceTypeOfferings',
      ['LocationType', 'Filters.*', 'MaxResults', 'NextToken'],
      (input) => {
        const type = input.LocationType ?? 'region';
        const places =
          type === 'region'
            ? [region.settings.region]
            : type === 'availability-zone'
              ? region.zones
              : type === 'availability-zone-id'
                ? region.network.subnets.map((subnet) => subnet.zoneId)
                : undefined;
        if (!places) {
          throw new ServiceError(
            'InvalidParameterValue',
            `Value (${String(type)}) for parameter locationType is invalid.`,
          );
        }
        const offerings = [...INSTANCE_TYPES.keys()].flatMap((name) =>
          places.map((location) => ({ name, location })),
        );
        const matching = filtered(
          offerings,
          input.Filters,
          { 'instance-type': (one) => [one.name], location: (one) => [one.location] },
          [],
        );
        const { items, ...more } = page(matching, input);
        return {
          InstanceTypeOfferings: items.map((one) => ({
            InstanceType: one.name as _InstanceType,
            Location: one.location,
            LocationType: type,
          })),
          ...more,
        };
      },
    ),
  ];
}

function describe(one: InstanceTypeFacts): InstanceTypeInfo {
  const nitro = one.hypervisor === 'nitro';
  return {
    BareMetal: false,
    BurstablePerformanceSupported: one.burstable,
    CurrentGeneration: nitro,
    EbsInfo: {
      EbsOptimizedSupport: nitro ? 'default' : 'unsupported',
      EncryptionSupport: 'supported',
      NvmeSupport: nitro ? 'required' : 'unsupported',
    },
    FreeTierEligible: one.name === 't3.micro',
    Hypervisor: one.hypervisor,
    InstanceStorageSupported: false,
    InstanceType: one.name as _InstanceType,
    MemoryInfo: { SizeInMiB: one.memoryMebibytes },
    NetworkInfo: { EnaSupport: nitro ? 'required' : 'unsupported', EfaSupported: false },
    NitroTpmSupport: nitro ? 'supported' : 'unsupported',
    ProcessorInfo: { SupportedArchitectures: [one.architecture] },
    SupportedBootModes: one.bootModes,
    SupportedRootDeviceTypes: ['ebs'],
    SupportedUsageClasses: ['on-demand'],
    SupportedVirtualizationTypes: ['hvm'],
    VCpuInfo: { DefaultVCpus: one.vcpus },
  };
}

const FILTERS: Record<string, FilterReader<InstanceTypeFacts>> = {
  'bare-metal': () => [false],
  'burstable-performance-supported': (one) => [one.burstable],
  'current-generation': (one) => [one.hypervisor === 'nitro'],
  hypervisor: (one) => [one.hypervisor],
  'instance-type': (one) => [one.name],
  'memory-info.size-in-mib': (one) => [one.memoryMebibytes],
  'processor-info.supported-architecture': (one) => [one.architecture],
  'supported-boot-mode': (one) => one.bootModes,
  'supported-root-device-type': () => ['ebs'],
  'supported-usage-class': () => ['on-demand'],
  'supported-virtualization-type': () => ['hvm'],
  'vcpu-info.default-vcpus': (one) => [one.vcpus],
};

const DOCUMENTED_FILTERS = [
  'auto-recovery-supported',
  'dedicated-hosts-supported',
  'ebs-info.ebs-optimized-support',
  'ebs-info.nvme-support',
  'free-tier-eligible',
  'hibernation-supported',
  'instance-storage-supported',
  'network-info.ena-support',
  'nitro-enclaves-support',
  'nitro-tpm-support',
];
