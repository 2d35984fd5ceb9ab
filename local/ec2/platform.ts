/**
 * What an image or an instance is billed as (EC2 User Guide, "AMI billing information fields"). The records say only whether
 * it is Windows: this cloud has no other licence to sell.
 */
export const platformOf = ({ windows }: { windows?: boolean }) =>
  windows
    ? // The SDK's type has a capital; on the wire it is small ("This value is set to windows for Windows AMIs").
      { Platform: 'windows' as 'Windows', PlatformDetails: 'Windows', UsageOperation: 'RunInstances:0002' }
    : { PlatformDetails: 'Linux/UNIX', UsageOperation: 'RunInstances' };

/** As a member of a record. */
export const windowsIf = (is: boolean | undefined): { windows?: true } => (is ? { windows: true } : {});
