import type { ResourceType, Tag, TagSpecification } from '@aws-sdk/client-ec2';
import { type Tags, tagKey } from '../../core/names.ts';

export const toTagSpecification = (type: ResourceType, tags: Tags): TagSpecification => ({
  ResourceType: type,
  Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
});

export const fromTags = (tags: readonly Tag[] | undefined): Tags =>
  Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? '']));

/** The filter that finds what a build made. */
export const ofBuild = (build: string) => [{ Name: `tag:${tagKey.build}`, Values: [build] }];
