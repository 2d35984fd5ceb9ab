import type {
  CreateVolumePermission,
  DescribeSnapshotAttributeCommandInput,
  DescribeSnapshotAttributeResult,
  ModifySnapshotAttributeCommandInput,
  ResetSnapshotAttributeCommandInput,
} from '@aws-sdk/client-ec2';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { type Action, action } from './action.ts';
import { need } from './ids.ts';
import type { SnapshotRecord } from './model.ts';
import { checkOneOf } from './one-of.ts';
import type { Region } from './region.ts';

/** Whether the account may read what is in the snapshot: its own, public ones, and those shared with it. */
export const mayMakeVolumes = (region: Region, snapshot: SnapshotRecord): boolean =>
  snapshot.ownerId === region.settings.accountId ||
  (snapshot.volumePermissions ?? []).some(
    ({ Group, UserId }) => Group === 'all' || UserId === region.settings.accountId,
  );

function needOwn(region: Region, id: string | undefined): SnapshotRecord {
  const snapshot = need('snapshot', region.snapshots, id ?? '');
  if (snapshot.ownerId !== region.settings.accountId) {
    throw new ServiceError('AuthFailure', `You do not own ${snapshot.id}`, 403);
  }
  return snapshot;
}

export function snapshotPermissionActions(region: Region): Action[] {
  return [
    action<DescribeSnapshotAttributeCommandInput, DescribeSnapshotAttributeResult>(
      'DescribeSnapshotAttribute',
      ['Attribute', 'SnapshotId'],
      (input) => {
        const { id: SnapshotId, volumePermissions = [] } = needOwn(region, input.SnapshotId);
        if (input.Attribute === 'productCodes') return { SnapshotId, ProductCodes: [] };
        checkOneOf('attribute', input.Attribute, ['createVolumePermission']);
        return { SnapshotId, CreateVolumePermissions: volumePermissions };
      },
    ),

    action<ModifySnapshotAttributeCommandInput, undefined>(
      'ModifySnapshotAttribute',
      ['Attribute', 'CreateVolumePermission.*', 'GroupNames', 'OperationType', 'SnapshotId', 'UserIds'],
      (input) => {
        modify(region, needOwn(region, input.SnapshotId), input);
        return undefined;
      },
    ),

    action<ResetSnapshotAttributeCommandInput, undefined>(
      'ResetSnapshotAttribute',
      ['Attribute', 'SnapshotId'],
      (input) => {
        checkOneOf('attribute', input.Attribute, ['createVolumePermission']);
        delete needOwn(region, input.SnapshotId).volumePermissions;
        return undefined;
      },
    ),
  ];
}

function modify(region: Region, snapshot: SnapshotRecord, input: ModifySnapshotAttributeCommandInput): void {
  if (input.Attribute !== undefined && input.Attribute !== 'createVolumePermission') {
    throw unsupported(`ModifySnapshotAttribute's ${input.Attribute}`);
  }
  const add: CreateVolumePermission[] = [...(input.CreateVolumePermission?.Add ?? [])];
  const remove: CreateVolumePermission[] = [...(input.CreateVolumePermission?.Remove ?? [])];
  const named: CreateVolumePermission[] = [
    ...(input.UserIds ?? []).map((UserId) => ({ UserId })),
    ...(input.GroupNames ?? []).map((Group) => ({ Group: Group as 'all' })),
  ];
  if (named.length > 0) {
    checkOneOf('operationType', input.OperationType ?? '', ['add', 'remove']);
    (input.OperationType === 'add' ? add : remove).push(...named);
  }
  for (const { Group, UserId } of [...add, ...remove]) {
    checkOneOf('group', Group, ['all']);
    if (UserId !== undefined && !/^\d{12}$/.test(UserId)) {
      throw new ServiceError('InvalidUserID.Malformed', `Invalid user id: "${UserId}"`);
    }
  }
  if (add.length > 0 && snapshot.kmsKeyId !== undefined) {
    // ModifySnapshotAttribute: "Encrypted snapshots … cannot be made public"; nor shared under the AWS managed key.
    if (region.keys.awsManaged(snapshot.kmsKeyId) || add.some(({ Group }) => Group === 'all')) {
      throw new ServiceError(
        'OperationNotPermitted',
        'Encrypted snapshots with EBS default key cannot be shared',
      );
    }
  }
  const key = ({ Group, UserId }: CreateVolumePermission) => `${Group ?? ''}/${UserId ?? ''}`;
  const gone = new Set(remove.map(key));
  const kept = new Map([...(snapshot.volumePermissions ?? []), ...add].map((one) => [key(one), one]));
  snapshot.volumePermissions = [...kept.values()].filter((one) => !gone.has(key(one)));
}
