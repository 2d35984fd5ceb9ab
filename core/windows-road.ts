import type { BuildState } from './build-state.ts';
import { differences } from './image-properties.ts';
import { pricesOf, usualRegion } from './prices.ts';

/**
 * The windows road makes an AMI that EC2 bills as Windows: the root volume of a stopped Windows instance is replaced by the FreeBSD
 * disk, and CreateImage takes over from the instance what RegisterImage cannot be told.
 */

type Properties = Readonly<Record<string, string>>;

/**
 * Windows with its licence and nothing else. Others with `windows` as their platform are billed for SQL Server too, or bring a licence of
 * their own (EC2 User Guide, "AMI billing information fields").
 */
const billing = {
  UsageOperation: 'RunInstances:0002',
  Platform: 'windows',
  PlatformDetails: 'Windows',
} as const;

/** What CreateImage takes over (API Reference, CreateImage), as far as it decides how the image is billed and whether it boots. */
const inherited = [
  ...(Object.keys(billing) as (keyof typeof billing)[]),
  'Architecture',
  'VirtualizationType',
  'BootMode',
  'EnaSupport',
  'RootDeviceName',
  'RootDeviceType',
] as const;

/** An AMI of Intel or AMD that says no boot mode starts by BIOS (EC2 User Guide, "Instance launch behavior with Amazon EC2 boot modes"). */
const withBootMode = (properties: Properties): Properties => ({ BootMode: 'legacy-bios', ...properties });

/** What the image will have of the Windows AMI. What that one does not have, the image may not have either: ''. */
export const inheritedProperties = (windows: Properties): Record<string, string> =>
  Object.fromEntries(inherited.map((key) => [key, withBootMode(windows)[key] ?? '']));

/** Why the image of a Windows AMI could not be billed as Windows or could not boot FreeBSD, a line each; empty when it can. */
export const windowsImageProblems = (windows: Properties): string[] =>
  differences(
    {
      ...billing,
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      EnaSupport: 'true',
      RootDeviceType: 'ebs',
      // AMIs with a NitroTPM come with Secure Boot, which refuses FreeBSD's loader (EC2 User Guide, "UEFI Secure Boot for Amazon EC2 instances").
      TpmSupport: '',
    },
    windows,
  );

/** How the image is not billed as Windows, a line each; empty when it is. */
export const billingProblems = (image: Properties): string[] => differences(billing, image);

/** What else of the image is not as it must be, a line each. */
export const windowsRoadProblems = (
  { image, windows, rootSizeGiB }: Pick<BuildState['plan'], 'image' | 'windows' | 'rootSizeGiB'>,
  found: Properties,
): string[] =>
  differences(
    {
      ...windows?.inherited,
      Name: image.name,
      Description: image.description,
      'Ebs.VolumeSize': String(rootSizeGiB),
      'Ebs.VolumeType': 'gp3',
      'Ebs.DeleteOnTermination': 'true',
      ...(image.imdsV2Only ? { ImdsSupport: 'v2.0' } : {}),
    },
    withBootMode(found),
  );

/** What an author of a recipe must know before a build of the windows road is paid for; nothing on other roads. */
export function roadWarnings({
  image,
  bootTest,
}: {
  readonly image: { readonly road?: string | undefined };
  readonly bootTest?: unknown;
}): string[] {
  if (image.road !== 'windows') return [];
  const prices = pricesOf(usualRegion);
  return [
    `every instance ever launched from this image is billed as Windows: about $${prices.windowsCoreHour} more for each vCPU and hour than FreeBSD costs (${prices.region}, ${prices.asOf}). That cannot be changed later, and the licence terms of Microsoft and AWS apply`,
    ...(bootTest === false
      ? ['the image is delivered without having booted once: bootTest is false']
      : [
          'EC2 documents the console of Windows instances as lines of its event log. Whether the boot test sees FreeBSD there was never tried on AWS; if it does not, it fails with BootSilent, and bootTest: false goes without it',
        ]),
  ];
}
