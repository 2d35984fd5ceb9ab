import type {
  DisableImageBlockPublicAccessCommandInput,
  DisableImageBlockPublicAccessResult,
  EnableImageBlockPublicAccessCommandInput,
  EnableImageBlockPublicAccessResult,
  GetImageBlockPublicAccessStateCommandInput,
  GetImageBlockPublicAccessStateResult,
  LaunchPermission,
  ModifyImageAttributeCommandInput,
  ResetImageAttributeCommandInput,
} from '@aws-sdk/client-ec2';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { type Action, action } from './action.ts';
import { keyOfSnapshot } from './encryption.ts';
import { isPublic, needOwn } from './image-access.ts';
import { limitLifetime } from './image-lifetime.ts';
import type { ImageRecord } from './model.ts';
import { checkOneOf } from './one-of.ts';
import type { Region } from './region.ts';

export function imagePermissionActions(region: Region): Action[] {
  return [
    action<ModifyImageAttributeCommandInput, undefined>(
      'ModifyImageAttribute',
      [
        'Attribute',
        'Description.Value',
        'ImageId',
        'ImdsSupport.Value',
        'LaunchPermission.*',
        'OperationType',
        'OrganizationArns',
        'OrganizationalUnitArns',
        'UserGroups',
        'UserIds',
        'Value',
      ],
      (input) => {
        modify(region, needOwn(region, input.ImageId), input);
        return undefined;
      },
    ),

    // "Resets an attribute of an AMI to its default value."
    action<ResetImageAttributeCommandInput, undefined>(
      'ResetImageAttribute',
      ['Attribute', 'ImageId'],
      (input) => {
        checkOneOf('attribute', input.Attribute, ['launchPermission']);
        needOwn(region, input.ImageId).launchPermissions = [];
        return undefined;
      },
    ),

    action<GetImageBlockPublicAccessStateCommandInput, GetImageBlockPublicAccessStateResult>(
      'GetImageBlockPublicAccessState',
      [],
      () => ({
        ImageBlockPublicAccessState: region.account.blockPublicImages ? 'block-new-sharing' : 'unblocked',
        ManagedBy: 'account',
      }),
    ),

    action<EnableImageBlockPublicAccessCommandInput, EnableImageBlockPublicAccessResult>(
      'EnableImageBlockPublicAccess',
      ['ImageBlockPublicAccessState'],
      (input) => {
        checkOneOf('imageBlockPublicAccessState', input.ImageBlockPublicAccessState, ['block-new-sharing']);
        region.account.blockPublicImages = true;
        return { ImageBlockPublicAccessState: 'block-new-sharing' };
      },
    ),

    // AWS takes up to ten minutes for this; here it counts at once.
    action<DisableImageBlockPublicAccessCommandInput, DisableImageBlockPublicAccessResult>(
      'DisableImageBlockPublicAccess',
      [],
      () => {
        region.account.blockPublicImages = false;
        return { ImageBlockPublicAccessState: 'unblocked' };
      },
    ),
  ];
}

/** The old form of the call names one Attribute and lists; the new one has LaunchPermission with Add and Remove. */
function permissionChanges(input: ModifyImageAttributeCommandInput) {
  const add: LaunchPermission[] = [...(input.LaunchPermission?.Add ?? [])];
  const remove: LaunchPermission[] = [...(input.LaunchPermission?.Remove ?? [])];
  const { Attribute: attribute } = input;
  if (attribute === 'launchPermission') {
    const named: LaunchPermission[] = [
      ...(input.UserIds ?? []).map((UserId) => ({ UserId })),
      ...(input.UserGroups ?? []).map((Group) => ({ Group: Group as 'all' })),
      ...(input.OrganizationArns ?? []).map((OrganizationArn) => ({ OrganizationArn })),
      ...(input.OrganizationalUnitArns ?? []).map((OrganizationalUnitArn) => ({ OrganizationalUnitArn })),
    ];
    if (named.length > 0) {
      checkOneOf('operationType', input.OperationType ?? '', ['add', 'remove']);
      (input.OperationType === 'add' ? add : remove).push(...named);
    }
  } else if (attribute !== undefined && attribute !== 'description' && attribute !== 'imdsSupport') {
    throw unsupported(`ModifyImageAttribute's ${attribute}`);
  }
  for (const permission of [...add, ...remove]) checkPermission(permission);
  return { add, remove };
}

const LEGAL: { [Member in keyof LaunchPermission]-?: RegExp } = {
  Group: /^all$/,
  UserId: /^\d{12}$/,
  // AWS Organizations API Reference, Organization and OrganizationalUnit, Arn.
  OrganizationArn: /^arn:aws:organizations::\d{12}:organization\/o-[a-z0-9]{10,32}$/,
  OrganizationalUnitArn:
    /^arn:aws:organizations::\d{12}:ou\/o-[a-z0-9]{10,32}\/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}$/,
};

/** EC2 API Reference, "Error codes": InvalidAMIAttributeItemValue. */
function checkPermission(permission: LaunchPermission): void {
  for (const [member, legal] of Object.entries(LEGAL)) {
    const value = permission[member as keyof LaunchPermission];
    if (value !== undefined && !legal.test(value)) {
      throw new ServiceError(
        'InvalidAMIAttributeItemValue',
        `Invalid attribute item value "${value}" for ${member.charAt(0).toLowerCase()}${member.slice(1)}`,
      );
    }
  }
}

function modify(region: Region, image: ImageRecord, input: ModifyImageAttributeCommandInput): void {
  const { Attribute: attribute } = input;
  const description = input.Description?.Value ?? (attribute === 'description' ? input.Value : undefined);
  const imds = input.ImdsSupport?.Value ?? (attribute === 'imdsSupport' ? input.Value : undefined);
  const { add, remove } = permissionChanges(input);
  const changes = [description !== undefined, imds !== undefined, add.length + remove.length > 0];
  if (!changes.includes(true)) {
    throw new ServiceError('InvalidRequest', 'The request received was invalid: there is nothing to modify');
  }
  // "you can specify only one attribute at a time"
  if (changes.filter(Boolean).length > 1) {
    throw new ServiceError('InvalidParameterCombination', 'You can specify only one attribute at a time');
  }
  if (description !== undefined) image.description = description;
  if (imds !== undefined) {
    checkOneOf('imdsSupport', imds, ['v2.0']);
    image.imdsSupport = imds;
  }
  if (add.length > 0) checkSharing(region, image, add);
  const key = (one: LaunchPermission) =>
    [one.Group, one.UserId, one.OrganizationArn, one.OrganizationalUnitArn].join(' ');
  const gone = new Set(remove.map(key));
  const kept = new Map(image.launchPermissions.map((one) => [key(one), one]));
  for (const one of add) kept.set(key(one), one);
  image.launchPermissions = [...kept.values()].filter((one) => !gone.has(key(one)));
  if (isPublic(image)) limitLifetime(image);
}

/** What keeps an image from being shared with those of `add`. */
function checkSharing(region: Region, image: ImageRecord, add: readonly LaunchPermission[]): void {
  if (image.state === 'disabled') {
    // DisableImage: "A disabled AMI can't be shared."
    throw new ServiceError('InvalidAMIID.Unavailable', `The image ID '${image.id}' is disabled`);
  }
  const keys = image.mappings.flatMap(({ Ebs }) => keyOfSnapshot(region, Ebs?.SnapshotId) ?? []);
  if (keys.some((key) => region.keys.awsManaged(key))) {
    // "Share an AMI with specific AWS accounts": AMIs with snapshots under the AWS managed key cannot be shared.
    throw new ServiceError(
      'InvalidParameter',
      'Snapshots encrypted with the AWS Managed CMK can’t be shared. Specify another snapshot.',
    );
  }
  if (!add.some(({ Group }) => Group === 'all') || isPublic(image)) return;
  if (keys.length > 0) {
    // "Make your AMI publicly available": "You can't make an AMI with encrypted volumes public."
    throw new ServiceError('InvalidParameter', 'Images with encrypted snapshots can’t be made public.');
  }
  if (region.account.blockPublicImages) {
    throw new ServiceError(
      'OperationNotPermitted',
      'You can’t publicly share this image because block public access for AMIs is enabled for this account. To publicly share the image, you must call the DisableImageBlockPublicAccess API.',
    );
  }
  const { accountId, publicImageQuota } = region.settings;
  const others = [...region.images.values()].filter((one) => one.ownerId === accountId && isPublic(one));
  if (others.length >= publicImageQuota) {
    // "Amazon EC2 quotas for AMIs", public AMIs; "Error codes": ResourceLimitExceeded.
    throw new ServiceError(
      'ResourceLimitExceeded',
      `You have reached the quota of ${publicImageQuota} public AMIs in this Region.`,
    );
  }
}
