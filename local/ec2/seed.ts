import { newId } from './ids.ts';
import type { ImageRecord } from './model.ts';
import { windowsIf } from './platform.ts';
import type { Region } from './region.ts';

/**
 * Who publishes FreeBSD's AMIs is another account than the caller's; which one does not matter here, so it is a number
 * that is nobody's (the number of the real publisher is not known for certain to this project).
 */
const FREEBSD_OWNER = '111122223333';
/** The same for Amazon's; its images are known by the owner alias `amazon`. */
const AMAZON_OWNER = '444455556666';

/** When 15.1 came out is not the point: a fixed, past day keeps `creation-date` filters repeatable. */
const CREATED = Date.UTC(2026, 5, 1);

/** A public image of somebody else's, and the public parameter that leads to it. */
interface Seed extends Pick<ImageRecord, 'name' | 'description' | 'ownerId' | 'architecture' | 'body'> {
  parameter: string;
  ownerAlias?: string;
  bootMode?: 'uefi' | 'uefi-preferred';
  tpmSupport?: 'v2.0';
  windows?: true;
  /** GiB of the root volume at /dev/sda1. */
  size: number;
}

const RELEASES = ['14.3', '15.0', '15.1'];
const ARCHITECTURES = [
  { name: 'amd64', architecture: 'x86_64', bootMode: 'uefi-preferred' },
  { name: 'arm64', architecture: 'arm64', bootMode: 'uefi' },
] as const;
const FLAVOURS = ['base', 'small'];

const FREEBSD: Seed[] = ARCHITECTURES.flatMap(({ name, architecture, bootMode }) =>
  RELEASES.flatMap((version) =>
    FLAVOURS.map((flavour) => ({
      parameter: `/aws/service/freebsd/${name}/${flavour}/ufs/${version}/RELEASE`,
      name: `FreeBSD ${version}-RELEASE-${name} ${flavour} UFS`,
      description: 'local cloud stand-in: runs user-data as a process on this machine',
      ownerId: FREEBSD_OWNER,
      architecture,
      bootMode,
      body: 'process' as const,
      // FreeBSD's AMIs: 10 GiB on /dev/sda1 (release/Makefile.ec2, bsdec2-image-upload).
      size: 10,
    })),
  ),
);

/** "AWS Windows AMI reference": plain images boot as the type does up to 2022, by UEFI from 2025; those called TPM- with Secure Boot. */
const WINDOWS: Seed[] = [
  { name: 'Windows_Server-2019-English-Core-Base' },
  { name: 'Windows_Server-2022-English-Core-Base' },
  { name: 'Windows_Server-2025-English-Core-Base', bootMode: 'uefi' as const },
  {
    name: 'TPM-Windows_Server-2022-English-Core-Base',
    bootMode: 'uefi' as const,
    tpmSupport: 'v2.0' as const,
  },
].map(({ name, ...boot }) => ({
  parameter: `/aws/service/ami-windows-latest/${name}`,
  name: `${name}-2026.05.13`,
  description: 'local cloud stand-in: its instances do nothing',
  ownerId: AMAZON_OWNER,
  ownerAlias: 'amazon',
  architecture: 'x86_64' as const,
  ...boot,
  body: 'machine' as const,
  windows: true as const,
  size: 30,
}));

/** Makes the public images when the region is new, and tells which parameter leads to which. */
export function seedImages(region: Region): Map<string, string> {
  const byName = new Map(
    [...region.images.values()].map((image) => [`${image.ownerId} ${image.name}`, image]),
  );
  return new Map(
    [...FREEBSD, ...WINDOWS].map((seed) => {
      const image = byName.get(`${seed.ownerId} ${seed.name}`) ?? makeImage(region, seed);
      return [seed.parameter, image.id];
    }),
  );
}

function makeImage(region: Region, { parameter: _, size, ...seed }: Seed): ImageRecord {
  const snapshotId = newId('snap');
  region.snapshots.set(snapshotId, {
    id: snapshotId,
    state: 'completed',
    progress: '100%',
    volumeId: 'vol-ffffffff', // What EC2 shows for snapshots that no volume of the viewer made.
    size,
    description: seed.name,
    ownerId: seed.ownerId,
    startTime: CREATED,
    completionTime: CREATED,
    blank: true,
    ...windowsIf(seed.windows),
    tags: {},
  });
  const image: ImageRecord = {
    ...seed,
    id: newId('ami'),
    state: 'available',
    virtualizationType: 'hvm',
    enaSupport: true,
    sriovNetSupport: 'simple',
    rootDeviceName: '/dev/sda1',
    mappings: [
      {
        DeviceName: '/dev/sda1',
        Ebs: {
          SnapshotId: snapshotId,
          VolumeSize: size,
          VolumeType: 'gp3',
          DeleteOnTermination: true,
          Iops: 3000,
          Throughput: 125,
        },
      },
    ],
    creationDate: CREATED,
    launchPermissions: [{ Group: 'all' }],
    tags: {},
  };
  region.images.set(image.id, image);
  return image;
}
