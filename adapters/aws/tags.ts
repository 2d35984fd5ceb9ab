import type { ResourceType, Tag, TagSpecification } from '@aws-sdk/client-ec2';
import { type Tags, tagKey } from '../../core/names.ts';

export const toTagSpecification = (type: ResourceType, tags: Tags): TagSpecification => ({
  ResourceType: type,
  Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
});

export const fromTags = (tags: readonly Tag[] | undefined): Tags =>
  Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? '']));

/** The build that made something. */
export const buildOf = (tags: readonly Tag[] | undefined): string => fromTags(tags)[tagKey.build] ?? '';

/** The filter that finds what a build made. It takes wildcards (* and ?), which the name of an execution may not contain. */
export const ofBuild = (build: string) => [{ Name: `tag:${tagKey.build}`, Values: [build] }];

/** The filter that finds what any build made. */
export const ofAnyBuild = [{ Name: 'tag-key', Values: [tagKey.build] }];
