import type {
  CreateLaunchTemplateCommandInput,
  CreateLaunchTemplateResult,
  CreateLaunchTemplateVersionCommandInput,
  CreateLaunchTemplateVersionResult,
  DeleteLaunchTemplateCommandInput,
  DeleteLaunchTemplateResult,
  DescribeLaunchTemplatesCommandInput,
  DescribeLaunchTemplatesResult,
  DescribeLaunchTemplateVersionsCommandInput,
  DescribeLaunchTemplateVersionsResult,
  LaunchTemplate,
  LaunchTemplateVersion,
  ModifyLaunchTemplateCommandInput,
  ModifyLaunchTemplateResult,
  ResponseLaunchTemplateData,
} from '@aws-sdk/client-ec2';
import { ServiceError } from '../front/service-error.ts';
import { type Action, action } from './action.ts';
import { filtered } from './filters.ts';
import { once } from './idempotency.ts';
import { need, newId } from './ids.ts';
import type { LaunchTemplateRecord, LaunchTemplateVersionRecord } from './model.ts';
import { page } from './pagination.ts';
import type { Region } from './region.ts';
import { tagList, tagsFor } from './tag-sets.ts';

/** CreateLaunchTemplate, LaunchTemplateName. */
const NAME = /^[a-zA-Z0-9().\-/_]{3,128}$/;
/** DescribeLaunchTemplates and …Versions, MaxResults: "between 1 and 200". */
const PAGE = { minimum: 1, maximum: 200 };

/** What launch templates say is kept and shown; RunInstances does not read them here. */
export function launchTemplateActions(region: Region): Action[] {
  return [
    action<CreateLaunchTemplateCommandInput, CreateLaunchTemplateResult>(
      'CreateLaunchTemplate',
      [
        'ClientToken',
        'LaunchTemplateData.*',
        'LaunchTemplateName',
        'TagSpecifications.*',
        'VersionDescription',
      ],
      (input) => {
        const id = once(region.tokens, 'CreateLaunchTemplate', input, region.clock.now(), () =>
          create(region, input),
        );
        return { LaunchTemplate: describe(region, need('launchTemplate', region.launchTemplates, id)) };
      },
    ),

    action<CreateLaunchTemplateVersionCommandInput, CreateLaunchTemplateVersionResult>(
      'CreateLaunchTemplateVersion',
      [
        'ClientToken',
        'LaunchTemplateData.*',
        'LaunchTemplateId',
        'LaunchTemplateName',
        'SourceVersion',
        'VersionDescription',
      ],
      (input) => {
        const template = needTemplate(region, input);
        const number = once(region.tokens, 'CreateLaunchTemplateVersion', input, region.clock.now(), () => {
          const source =
            input.SourceVersion === undefined ? undefined : versionNamed(template, input.SourceVersion);
          const version: LaunchTemplateVersionRecord = {
            number: latest(template) + 1,
            ...(input.VersionDescription === undefined ? {} : { description: input.VersionDescription }),
            created: region.clock.now(),
            data: { ...source?.data, ...(input.LaunchTemplateData as ResponseLaunchTemplateData) },
          };
          template.versions.push(version);
          return version.number;
        });
        return {
          LaunchTemplateVersion: describeVersion(region, template, versionNamed(template, String(number))),
        };
      },
    ),

    action<DescribeLaunchTemplatesCommandInput, DescribeLaunchTemplatesResult>(
      'DescribeLaunchTemplates',
      ['Filters.*', 'LaunchTemplateIds', 'LaunchTemplateNames', 'MaxResults', 'NextToken'],
      (input) => {
        const named = [...(input.LaunchTemplateIds ?? []), ...(input.LaunchTemplateNames ?? [])];
        const chosen =
          named.length === 0
            ? [...region.launchTemplates.values()]
            : [
                ...(input.LaunchTemplateIds ?? []).map((LaunchTemplateId) => ({ LaunchTemplateId })),
                ...(input.LaunchTemplateNames ?? []).map((LaunchTemplateName) => ({ LaunchTemplateName })),
              ].map((one) => needTemplate(region, one));
        const matching = filtered(
          chosen,
          input.Filters,
          {
            'create-time': (one) => [new Date(one.created).toISOString()],
            'launch-template-name': (one) => [one.name],
          },
          [],
          (one) => tagList(one.tags),
        );
        const { items, ...more } = page(matching, input, { ids: named, ...PAGE });
        return { LaunchTemplates: items.map((one) => describe(region, one)), ...more };
      },
    ),

    action<DescribeLaunchTemplateVersionsCommandInput, DescribeLaunchTemplateVersionsResult>(
      'DescribeLaunchTemplateVersions',
      [
        'Filters.*',
        'LaunchTemplateId',
        'LaunchTemplateName',
        'MaxResults',
        'MaxVersion',
        'MinVersion',
        'NextToken',
        'Versions',
      ],
      (input) => {
        const matching = filtered(
          chosenVersions(region, input),
          input.Filters,
          {
            'create-time': ({ version }) => [new Date(version.created).toISOString()],
            'image-id': ({ version }) => [version.data.ImageId],
            'instance-type': ({ version }) => [version.data.InstanceType],
            'is-default-version': ({ template, version }) => [template.defaultVersion === version.number],
          },
          ['ebs-optimized', 'host-resource-group-arn', 'iam-instance-profile', 'kernel-id', 'license-arn'],
        );
        const { items, ...more } = page(matching, input, PAGE);
        return {
          LaunchTemplateVersions: items.map(({ template, version }) =>
            describeVersion(region, template, version),
          ),
          ...more,
        };
      },
    ),

    action<ModifyLaunchTemplateCommandInput, ModifyLaunchTemplateResult>(
      'ModifyLaunchTemplate',
      ['ClientToken', 'DefaultVersion', 'LaunchTemplateId', 'LaunchTemplateName'],
      (input) => {
        const template = needTemplate(region, input);
        if (input.DefaultVersion !== undefined) {
          template.defaultVersion = versionNamed(template, input.DefaultVersion).number;
        }
        return { LaunchTemplate: describe(region, template) };
      },
    ),

    action<DeleteLaunchTemplateCommandInput, DeleteLaunchTemplateResult>(
      'DeleteLaunchTemplate',
      ['LaunchTemplateId', 'LaunchTemplateName'],
      (input) => {
        const template = needTemplate(region, input);
        region.launchTemplates.delete(template.id);
        return { LaunchTemplate: describe(region, template) };
      },
    ),
  ];
}

function create(region: Region, input: CreateLaunchTemplateCommandInput): string {
  const name = input.LaunchTemplateName ?? '';
  if (!NAME.test(name)) {
    throw new ServiceError(
      'InvalidLaunchTemplateName.MalformedException',
      'A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and the following characters: - ( ) . / _.',
    );
  }
  if ([...region.launchTemplates.values()].some((one) => one.name === name)) {
    throw new ServiceError(
      'InvalidLaunchTemplateName.AlreadyExistsException',
      'Launch template name already in use.',
    );
  }
  const { 'launch-template': tags } = tagsFor(input.TagSpecifications, ['launch-template']);
  const template: LaunchTemplateRecord = {
    id: newId('lt'),
    name,
    created: region.clock.now(),
    defaultVersion: 1,
    versions: [
      {
        number: 1,
        ...(input.VersionDescription === undefined ? {} : { description: input.VersionDescription }),
        created: region.clock.now(),
        data: input.LaunchTemplateData as ResponseLaunchTemplateData,
      },
    ],
    tags,
  };
  region.launchTemplates.set(template.id, template);
  return template.id;
}

/** "You must specify either the launch template ID or the launch template name, but not both." */
function needTemplate(
  region: Region,
  named: { LaunchTemplateId?: string | undefined; LaunchTemplateName?: string | undefined },
): LaunchTemplateRecord {
  const { LaunchTemplateId: id, LaunchTemplateName: name } = named;
  if ((id === undefined) === (name === undefined)) {
    throw new ServiceError(
      id === undefined ? 'MissingParameter' : 'InvalidParameterCombination',
      'Either a launch template ID or a launch template name must be specified, but not both.',
    );
  }
  if (id !== undefined) return need('launchTemplate', region.launchTemplates, id);
  const found = [...region.launchTemplates.values()].find((one) => one.name === name);
  if (!found) {
    throw new ServiceError(
      'InvalidLaunchTemplateName.NotFoundException',
      `At least one of the launch templates specified in the request does not exist.`,
    );
  }
  return found;
}

const latest = ({ versions }: LaunchTemplateRecord): number => versions.at(-1)?.number ?? 0;

function versionNamed(template: LaunchTemplateRecord, name: string): LaunchTemplateVersionRecord {
  const number =
    name === '$Latest' ? latest(template) : name === '$Default' ? template.defaultVersion : Number(name);
  const found = template.versions.find((one) => one.number === number);
  if (!found) {
    throw new ServiceError(
      'InvalidLaunchTemplateId.VersionNotFound',
      `Could not find the specified version ${name} for the launch template with ID ${template.id}.`,
    );
  }
  return found;
}

function chosenVersions(region: Region, input: DescribeLaunchTemplateVersionsCommandInput) {
  const of = (template: LaunchTemplateRecord, names: readonly string[]) =>
    names.map((name) => ({ template, version: versionNamed(template, name) }));
  if (input.LaunchTemplateId === undefined && input.LaunchTemplateName === undefined) {
    // Versions: "To describe all launch templates in your account", $Latest, $Default or both, and no template.
    const names = input.Versions ?? [];
    if (names.length === 0 || !names.every((name) => name === '$Latest' || name === '$Default')) {
      throw new ServiceError(
        'MissingParameter',
        'Either a launch template ID, a launch template name, or the versions $Latest and $Default must be specified.',
      );
    }
    return [...region.launchTemplates.values()].flatMap((template) => of(template, names));
  }
  const template = needTemplate(region, input);
  if (input.Versions?.length) return of(template, input.Versions);
  const least = Number(input.MinVersion ?? 1);
  const most = Number(input.MaxVersion ?? latest(template));
  return template.versions
    .filter(({ number }) => number >= least && number <= most)
    .toReversed()
    .map((version) => ({ template, version }));
}

const createdBy = (region: Region) => `arn:aws:iam::${region.settings.accountId}:root`;

function describe(region: Region, template: LaunchTemplateRecord): LaunchTemplate {
  return {
    CreatedBy: createdBy(region),
    CreateTime: new Date(template.created),
    DefaultVersionNumber: template.defaultVersion,
    LatestVersionNumber: latest(template),
    LaunchTemplateId: template.id,
    LaunchTemplateName: template.name,
    Tags: tagList(template.tags),
  };
}

function describeVersion(
  region: Region,
  template: LaunchTemplateRecord,
  version: LaunchTemplateVersionRecord,
): LaunchTemplateVersion {
  return {
    CreatedBy: createdBy(region),
    CreateTime: new Date(version.created),
    DefaultVersion: template.defaultVersion === version.number,
    LaunchTemplateData: version.data,
    LaunchTemplateId: template.id,
    LaunchTemplateName: template.name,
    ...(version.description === undefined ? {} : { VersionDescription: version.description }),
    VersionNumber: version.number,
  };
}
