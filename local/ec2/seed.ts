import { GIBIBYTE } from './disks.ts';
import { newId } from './ids.ts';
import type { ImageRecord } from './model.ts';
import { windowsIf } from './platform.ts';
import type { Region } from './region.ts';
import type { WorkerImage } from './worker-image.ts';

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
  /** A machine of this image works; its snapshot has a disk. */
  online?: true;
  /** GiB of the root volume at /dev/sda1. */
  size: number;
}

const RELEASES = ['14.3', '15.0', '15.1'];
const ARCHITECTURES = [
  { name: 'amd64', architecture: 'x86_64', bootMode: 'uefi-preferred' },
  { name: 'arm64', architecture: 'arm64', bootMode: 'uefi' },
] as const;
const FLAVOURS = ['base', 'small'];
/** FreeBSD's AMIs: 10 GiB on /dev/sda1 (release/Makefile.ec2, bsdec2-image-upload). */
const ROOT_GIBIBYTES = 10;

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
      size: ROOT_GIBIBYTES,
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

/** What the names of images begin with that were made of a file of the user's. */
export const OWN_NAME = 'WORKER_IMAGE';

/**
 * Makes the public images when the region is new, and tells which parameter leads to which. With an image of the user's, all
 * of FreeBSD's parameters for its architecture lead to that one, and those for the other are not there.
 */
export async function seedImages(region: Region, own?: WorkerImage): Promise<Map<string, string>> {
  const ownImage = own && (await makeOwnImage(region, own));
  const parameters = new Map<string, string>();
  for (const seed of [...FREEBSD, ...WINDOWS]) {
    const image = seeded(region, seed) ?? makeImage(region, seed, newId('snap'));
    const chosen = (seed.ownerId === FREEBSD_OWNER && ownImage) || image;
    if (chosen.architecture === seed.architecture) parameters.set(seed.parameter, chosen.id);
  }
  return parameters;
}

const seeded = (region: Region, { ownerId, name }: Pick<Seed, 'ownerId' | 'name'>): ImageRecord | undefined =>
  [...region.images.values()].find((image) => image.ownerId === ownerId && image.name === name);

/** The user's image as an AMI, unpacked once; of one that was there before nothing stays. */
async function makeOwnImage(region: Region, own: WorkerImage): Promise<ImageRecord> {
  const name = `${OWN_NAME} ${own.identity}`;
  const known = seeded(region, { ownerId: FREEBSD_OWNER, name });
  if (known) return known;
  for (const image of region.images.values()) {
    if (image.ownerId !== FREEBSD_OWNER || !image.name.startsWith(OWN_NAME)) continue;
    const snapshotId = image.mappings[0]?.Ebs?.SnapshotId ?? '';
    region.images.delete(image.id);
    region.snapshots.delete(snapshotId);
    await region.disks.deleteSnapshot(snapshotId);
  }
  const snapshotId = newId('snap');
  const file = region.disks.snapshot(snapshotId);
  const { architecture, bytes } = await own.unpack(file, ROOT_GIBIBYTES * GIBIBYTE);
  const like = FREEBSD.find(({ parameter }) => parameter.includes(`/${architecture}/`)) as Seed;
  const description = `local cloud: ${own.file}`;
  const seed: Seed = { ...like, name, description, body: 'machine', online: true, size: bytes / GIBIBYTE };
  return makeImage(region, seed, snapshotId);
}

/** Without `online` nothing lies in the snapshot. */
function makeImage(region: Region, { parameter: _, size, ...seed }: Seed, snapshotId: string): ImageRecord {
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
    blank: seed.online === undefined,
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
