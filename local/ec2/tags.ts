import type {
  CreateTagsCommandInput,
  DeleteTagsCommandInput,
  DescribeTagsCommandInput,
  DescribeTagsResult,
  ResourceType,
} from '@aws-sdk/client-ec2';
import { ServiceError } from '../front/service-error.ts';
import { type Action, action } from './action.ts';
import { filtered } from './filters.ts';
import { need } from './ids.ts';
import type { Tags } from './model.ts';
import { page } from './pagination.ts';
import type { Region } from './region.ts';
import { checkTags } from './tag-sets.ts';

export function tagActions(region: Region): Action[] {
  return [
    action<CreateTagsCommandInput, undefined>('CreateTags', ['Resources', 'Tags.*'], (input) => {
      const tags = input.Tags ?? [];
      checkTags(tags);
      const targets = (input.Resources ?? []).map((id) => tagsOf(region, id));
      // All resources are looked up before the first is changed.
      for (const target of targets) {
        const merged = {
          ...target,
          ...Object.fromEntries(tags.map((tag) => [tag.Key ?? '', tag.Value ?? ''])),
        };
        checkTags(Object.entries(merged).map(([Key, Value]) => ({ Key, Value })));
      }
      for (const target of targets) {
        for (const { Key = '', Value = '' } of tags) target[Key] = Value;
      }
      return undefined;
    }),

    action<DeleteTagsCommandInput, undefined>('DeleteTags', ['Resources', 'Tags.*'], (input) => {
      for (const target of (input.Resources ?? []).map((id) => tagsOf(region, id))) {
        // "If you omit this parameter, we delete all user-defined tags"; with a value, only that very tag.
        if (!input.Tags?.length) for (const key of Object.keys(target)) delete target[key];
        for (const { Key = '', Value } of input.Tags ?? []) {
          if (Value === undefined || target[Key] === Value) delete target[Key];
        }
      }
      return undefined;
    }),

    action<DescribeTagsCommandInput, DescribeTagsResult>(
      'DescribeTags',
      ['Filters.*', 'MaxResults', 'NextToken'],
      (input) => {
        const all = resources(region).flatMap(({ id, type, tags }) =>
          Object.entries(tags).map(([Key, Value]) => ({ Key, ResourceId: id, ResourceType: type, Value })),
        );
        const matching = filtered(
          all,
          input.Filters,
          {
            key: (one) => [one.Key],
            'resource-id': (one) => [one.ResourceId],
            'resource-type': (one) => [one.ResourceType],
            value: (one) => [one.Value],
          },
          [],
          (one) => [{ Key: one.Key, Value: one.Value }],
        );
        const { items, ...more } = page(matching, input);
        return { Tags: items, ...more };
      },
    ),
  ];
}

function resources(region: Region): { id: string; type: ResourceType; tags: Tags }[] {
  const of = (type: ResourceType, records: Iterable<{ id: string; tags: Tags }>) =>
    [...records].map(({ id, tags }) => ({ id, type, tags }));
  const { network } = region;
  return [
    ...of('instance', region.instances.values()),
    ...of('volume', region.volumes.values()),
    ...of('snapshot', region.snapshots.values()),
    ...of('image', region.images.values()),
    ...of('security-group', region.securityGroups.values()),
    ...of('key-pair', region.keyPairs.values()),
    ...of('launch-template', region.launchTemplates.values()),
    { id: network.vpcId, type: 'vpc' as const, tags: network.vpcTags },
    ...network.subnets.map(({ id }) => {
      network.subnetTags[id] ??= {};
      return { id, type: 'subnet' as const, tags: network.subnetTags[id] };
    }),
  ];
}

function tagsOf(region: Region, id: string): Tags {
  const found = resources(region).find((one) => one.id === id);
  if (found) return found.tags;
  // The id's own noun says what is wrong with it.
  const nouns = {
    i: 'instance',
    vol: 'volume',
    snap: 'snapshot',
    ami: 'image',
    sg: 'securityGroup',
    lt: 'launchTemplate',
    vpc: 'vpc',
    subnet: 'subnet',
  } as const;
  const prefix = id.split('-')[0] ?? '';
  if (Object.hasOwn(nouns, prefix)) need(nouns[prefix as keyof typeof nouns], new Map<string, Tags>(), id);
  throw new ServiceError('InvalidID', `The ID '${id}' is not valid`);
}
