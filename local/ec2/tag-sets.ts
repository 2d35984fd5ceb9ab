import type { Tag, TagSpecification } from '@aws-sdk/client-ec2';
import { ServiceError } from '../front/service-error.ts';
import type { Tags } from './model.ts';

/** EC2 User Guide, "Tag restrictions": 50 tags, keys to 128 and values to 256 characters, no `aws:` prefix. */
const MAX_TAGS = 50;
const MAX_KEY = 128;
const MAX_VALUE = 256;

export function checkTags(tags: readonly Tag[]): void {
  const seen = new Set<string>();
  for (const { Key = '', Value = '' } of tags) {
    if (Key === '' || Key.length > MAX_KEY) {
      throw new ServiceError(
        'InvalidParameterValue',
        `Tag key '${Key}' must have 1 to ${MAX_KEY} characters.`,
      );
    }
    if (Value.length > MAX_VALUE) {
      throw new ServiceError(
        'InvalidParameterValue',
        `Tag value exceeds the maximum length of ${MAX_VALUE} characters`,
      );
    }
    if (/^aws:/i.test(Key)) {
      throw new ServiceError(
        'InvalidParameterValue',
        'Tag keys starting with ‘aws:’ are reserved for internal use',
      );
    }
    if (seen.has(Key)) {
      throw new ServiceError('InvalidParameterValue', `Duplicate tag key '${Key}' specified.`);
    }
    seen.add(Key);
  }
  if (tags.length > MAX_TAGS) {
    throw new ServiceError('TagLimitExceeded', `More than ${MAX_TAGS} tags specified`);
  }
}

export const tagList = (tags: Tags): Tag[] => Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));

/** The tags that a creating call gives per resource type; only the `allowed` types may appear. */
export function tagsFor<Type extends string>(
  specifications: readonly TagSpecification[] | undefined,
  allowed: readonly Type[],
): Record<Type, Tags> {
  const result: Record<string, Tags> = Object.fromEntries(allowed.map((type) => [type, {}]));
  for (const { ResourceType, Tags: tags } of specifications ?? []) {
    if (ResourceType === undefined) {
      throw new ServiceError('MissingParameter', 'The tag specification is missing a resource type');
    }
    if (!(allowed as readonly string[]).includes(ResourceType)) {
      throw new ServiceError(
        'InvalidParameterValue',
        `'${ResourceType}' is not a valid taggable resource type for this operation.`,
      );
    }
    checkTags(tags ?? []);
    for (const { Key = '', Value = '' } of tags ?? []) {
      result[ResourceType] = { ...result[ResourceType], [Key]: Value };
    }
  }
  return result as Record<Type, Tags>;
}
