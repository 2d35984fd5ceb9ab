import type { ArchitectureType, BootModeType, BootModeValues } from '@aws-sdk/client-ec2';

export interface InstanceTypeFacts {
  name: string;
  architecture: ArchitectureType;
  vcpus: number;
  memoryMebibytes: number;
  hypervisor: 'nitro' | 'xen';
  bootModes: BootModeType[];
  burstable: boolean;
}

/** EC2 "Instance types" guide, general purpose and compute optimised: vCPUs and memory (GiB) per size. */
const FAMILIES: [family: string, architecture: ArchitectureType, sizes: [string, number, number][]][] = [
  [
    't3',
    'x86_64',
    [
      ['micro', 2, 1],
      ['small', 2, 2],
      ['medium', 2, 4],
      ['large', 2, 8],
      ['xlarge', 4, 16],
    ],
  ],
  [
    't3a',
    'x86_64',
    [
      ['micro', 2, 1],
      ['small', 2, 2],
      ['medium', 2, 4],
      ['large', 2, 8],
      ['xlarge', 4, 16],
    ],
  ],
  [
    't4g',
    'arm64',
    [
      ['micro', 2, 1],
      ['small', 2, 2],
      ['medium', 2, 4],
      ['large', 2, 8],
      ['xlarge', 4, 16],
    ],
  ],
  [
    'm5',
    'x86_64',
    [
      ['large', 2, 8],
      ['xlarge', 4, 16],
      ['2xlarge', 8, 32],
    ],
  ],
  [
    'm6i',
    'x86_64',
    [
      ['large', 2, 8],
      ['xlarge', 4, 16],
      ['2xlarge', 8, 32],
    ],
  ],
  [
    'm6a',
    'x86_64',
    [
      ['large', 2, 8],
      ['xlarge', 4, 16],
      ['2xlarge', 8, 32],
    ],
  ],
  [
    'm7i',
    'x86_64',
    [
      ['large', 2, 8],
      ['xlarge', 4, 16],
      ['2xlarge', 8, 32],
    ],
  ],
  [
    'm6g',
    'arm64',
    [
      ['medium', 1, 4],
      ['large', 2, 8],
      ['xlarge', 4, 16],
      ['2xlarge', 8, 32],
    ],
  ],
  [
    'm7g',
    'arm64',
    [
      ['medium', 1, 4],
      ['large', 2, 8],
      ['xlarge', 4, 16],
      ['2xlarge', 8, 32],
    ],
  ],
  [
    'c5',
    'x86_64',
    [
      ['large', 2, 4],
      ['xlarge', 4, 8],
      ['2xlarge', 8, 16],
    ],
  ],
  [
    'c6i',
    'x86_64',
    [
      ['large', 2, 4],
      ['xlarge', 4, 8],
      ['2xlarge', 8, 16],
    ],
  ],
  [
    'c6a',
    'x86_64',
    [
      ['large', 2, 4],
      ['xlarge', 4, 8],
      ['2xlarge', 8, 16],
    ],
  ],
  [
    'c7i',
    'x86_64',
    [
      ['large', 2, 4],
      ['xlarge', 4, 8],
      ['2xlarge', 8, 16],
    ],
  ],
  [
    'c6g',
    'arm64',
    [
      ['medium', 1, 2],
      ['large', 2, 4],
      ['xlarge', 4, 8],
      ['2xlarge', 8, 16],
    ],
  ],
  [
    'c7g',
    'arm64',
    [
      ['medium', 1, 2],
      ['large', 2, 4],
      ['xlarge', 4, 8],
      ['2xlarge', 8, 16],
    ],
  ],
  [
    'm4',
    'x86_64',
    [
      ['large', 2, 8],
      ['xlarge', 4, 16],
    ],
  ],
  [
    't2',
    'x86_64',
    [
      ['micro', 1, 1],
      ['small', 1, 2],
      ['medium', 2, 4],
    ],
  ],
];

const XEN = new Set(['m4', 't2']);

/** "Instance type requirements for UEFI boot mode": Nitro x86 types boot both ways, Graviton UEFI only, Xen BIOS only. */
function bootModes(family: string, architecture: ArchitectureType): BootModeType[] {
  if (architecture === 'arm64') return ['uefi'];
  return XEN.has(family) ? ['legacy-bios'] : ['legacy-bios', 'uefi'];
}

export const INSTANCE_TYPES: ReadonlyMap<string, InstanceTypeFacts> = new Map(
  FAMILIES.flatMap(([family, architecture, sizes]) =>
    sizes.map(([size, vcpus, gibibytes]): [string, InstanceTypeFacts] => [
      `${family}.${size}`,
      {
        name: `${family}.${size}`,
        architecture,
        vcpus,
        memoryMebibytes: gibibytes * 1024,
        hypervisor: XEN.has(family) ? 'xen' : 'nitro',
        bootModes: bootModes(family, architecture),
        burstable: family.startsWith('t'),
      },
    ]),
  ),
);

/** How an instance boots: what its image wants, as far as its type can ("Boot modes"). */
export function currentBootMode({
  bootMode,
  instanceType,
}: {
  readonly bootMode?: BootModeValues;
  readonly instanceType: string;
}): 'legacy-bios' | 'uefi' {
  const modes = INSTANCE_TYPES.get(instanceType)?.bootModes ?? [];
  if (bootMode === 'uefi' || bootMode === 'legacy-bios') return bootMode;
  if (bootMode === 'uefi-preferred') return modes.includes('uefi') ? 'uefi' : 'legacy-bios';
  return modes.includes('legacy-bios') ? 'legacy-bios' : 'uefi';
}
