import { newId } from './ids.ts';
import type { ImageRecord } from './model.ts';
import type { Region } from './region.ts';

/**
 * Who publishes FreeBSD's AMIs is another account than the caller's; which one does not matter here, so it is a number
 * that is nobody's (the number of the real publisher is not known for certain to this project).
 */
export const FREEBSD_OWNER = '111122223333';

const RELEASES = ['14.3', '15.0', '15.1'];
const ARCHITECTURES = [
  { name: 'amd64', architecture: 'x86_64', bootMode: 'uefi-preferred' },
  { name: 'arm64', architecture: 'arm64', bootMode: 'uefi' },
] as const;
const FLAVOURS = ['base', 'small'];
/** FreeBSD's AMIs: 10 GiB on /dev/sda1 (release/Makefile.ec2, bsdec2-image-upload). */
const ROOT_GIBIBYTES = 10;

/** When 15.1 came out is not the point: a fixed, past day keeps `creation-date` filters repeatable. */
const CREATED = Date.UTC(2026, 5, 1);

/** SSM parameter of a release's AMI, as FreeBSD publishes it. */
export const parameterOf = (architecture: string, flavour: string, version: string): string =>
  `/aws/service/freebsd/${architecture}/${flavour}/ufs/${version}/RELEASE`;

/** Makes the worker images when the region is new, and tells which parameter leads to which. */
export function seedWorkerImages(region: Region): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const { name, architecture, bootMode } of ARCHITECTURES) {
    for (const version of RELEASES) {
      for (const flavour of FLAVOURS) {
        const imageName = `FreeBSD ${version}-RELEASE-${name} ${flavour} UFS`;
        const existing = [...region.images.values()].find(
          (image) => image.ownerId === FREEBSD_OWNER && image.name === imageName,
        );
        const image = existing ?? makeImage(region, imageName, architecture, bootMode);
        parameters.set(parameterOf(name, flavour, version), image.id);
      }
    }
  }
  return parameters;
}

function makeImage(
  region: Region,
  name: string,
  architecture: 'x86_64' | 'arm64',
  bootMode: 'uefi' | 'uefi-preferred',
): ImageRecord {
  const snapshotId = newId('snap');
  region.snapshots.set(snapshotId, {
    id: snapshotId,
    state: 'completed',
    progress: '100%',
    volumeId: 'vol-ffffffff', // What EC2 shows for snapshots that no volume of the viewer made.
    size: ROOT_GIBIBYTES,
    description: name,
    ownerId: FREEBSD_OWNER,
    startTime: CREATED,
    completionTime: CREATED,
    blank: true,
    tags: {},
  });
  const image: ImageRecord = {
    id: newId('ami'),
    name,
    description: 'local cloud stand-in: runs user-data as a process on this machine',
    state: 'available',
    ownerId: FREEBSD_OWNER,
    architecture,
    virtualizationType: 'hvm',
    bootMode,
    enaSupport: true,
    sriovNetSupport: 'simple',
    rootDeviceName: '/dev/sda1',
    mappings: [
      {
        DeviceName: '/dev/sda1',
        Ebs: {
          SnapshotId: snapshotId,
          VolumeSize: ROOT_GIBIBYTES,
          VolumeType: 'gp3',
          DeleteOnTermination: true,
          Encrypted: false,
          Iops: 3000,
          Throughput: 125,
        },
      },
    ],
    creationDate: CREATED,
    launchPermissions: [{ Group: 'all' }],
    body: 'process',
    tags: {},
  };
  region.images.set(image.id, image);
  return image;
}
