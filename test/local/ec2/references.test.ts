import {
  CreateLaunchTemplateCommand,
  CreateLaunchTemplateVersionCommand,
  DeleteLaunchTemplateCommand,
  DescribeImageReferencesCommand,
  type DescribeImageReferencesCommandInput,
  DescribeLaunchTemplatesCommand,
  DescribeLaunchTemplateVersionsCommand,
  type DescribeLaunchTemplateVersionsCommandInput,
  ModifyLaunchTemplateCommand,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStage, type Stage } from '../stage.ts';
import { ImageOwner } from './image-owner.ts';

let stage: Stage;
let owner: ImageOwner;
let ssm: SSMClient;
beforeAll(async () => {
  stage = await openStage({ throttle: false });
  owner = new ImageOwner(stage);
  ssm = new SSMClient(stage.client);
});
afterAll(async () => {
  await stage.close();
  expect(stage.log).toEqual([]);
});

const refusal = (name: string) => expect.objectContaining({ name });
let names = 0;
async function template(ImageId: string) {
  const { LaunchTemplate } = await owner.ec2.send(
    new CreateLaunchTemplateCommand({
      LaunchTemplateName: `template-${++names}`,
      LaunchTemplateData: { ImageId, InstanceType: 'm6i.large' },
    }),
  );
  return LaunchTemplate?.LaunchTemplateId ?? '';
}
const newVersion = (LaunchTemplateId: string, ImageId: string) =>
  owner.ec2.send(
    new CreateLaunchTemplateVersionCommand({ LaunchTemplateId, LaunchTemplateData: { ImageId } }),
  );
const versions = async (input: DescribeLaunchTemplateVersionsCommandInput) =>
  (await owner.ec2.send(new DescribeLaunchTemplateVersionsCommand(input))).LaunchTemplateVersions?.map(
    ({ VersionNumber, DefaultVersion, LaunchTemplateData }) => [
      VersionNumber,
      DefaultVersion,
      LaunchTemplateData?.ImageId,
    ],
  );

describe('launch templates', () => {
  test('have versions, one of which is the default', async () => {
    const id = await template('ami-00000000000000001');
    await newVersion(id, 'ami-00000000000000002');
    const { LaunchTemplateVersion } = await owner.ec2.send(
      new CreateLaunchTemplateVersionCommand({
        LaunchTemplateId: id,
        SourceVersion: '1',
        LaunchTemplateData: { ImageId: 'ami-00000000000000003' },
      }),
    );
    // SourceVersion: "the new version inherits the launch parameters from the source version".
    expect(LaunchTemplateVersion?.LaunchTemplateData).toEqual({
      ImageId: 'ami-00000000000000003',
      InstanceType: 'm6i.large',
    });
    await owner.ec2.send(new ModifyLaunchTemplateCommand({ LaunchTemplateId: id, DefaultVersion: '2' }));
    expect(await versions({ LaunchTemplateId: id })).toEqual([
      [3, false, 'ami-00000000000000003'],
      [2, true, 'ami-00000000000000002'],
      [1, false, 'ami-00000000000000001'],
    ]);
    expect(await versions({ LaunchTemplateId: id, Versions: ['$Default', '$Latest', '1'] })).toHaveLength(3);
    // Versions: "To describe all launch templates in your account that are defined as the latest version".
    expect(await versions({ Versions: ['$Latest'] })).toContainEqual([3, false, 'ami-00000000000000003']);
    const { LaunchTemplates } = await owner.ec2.send(
      new DescribeLaunchTemplatesCommand({ LaunchTemplateIds: [id] }),
    );
    expect(LaunchTemplates).toMatchObject([{ DefaultVersionNumber: 2, LatestVersionNumber: 3 }]);
    await owner.ec2.send(new DeleteLaunchTemplateCommand({ LaunchTemplateId: id }));
    await expect(versions({ LaunchTemplateId: id })).rejects.toEqual(
      refusal('InvalidLaunchTemplateId.NotFound'),
    );
  });

  test('are refused without a name of their own, and versions that do not exist', async () => {
    const id = await template('ami-00000000000000001');
    const again = new CreateLaunchTemplateCommand({
      LaunchTemplateName: `template-${names}`,
      LaunchTemplateData: { InstanceType: 'm6i.large' },
    });
    await expect(owner.ec2.send(again)).rejects.toEqual(
      refusal('InvalidLaunchTemplateName.AlreadyExistsException'),
    );
    await expect(versions({ LaunchTemplateId: id, Versions: ['7'] })).rejects.toEqual(
      refusal('InvalidLaunchTemplateId.VersionNotFound'),
    );
    await expect(versions({ LaunchTemplateName: 'nobody' })).rejects.toEqual(
      refusal('InvalidLaunchTemplateName.NotFoundException'),
    );
    await expect(versions({})).rejects.toEqual(refusal('MissingParameter'));
  });
});

describe('DescribeImageReferences', () => {
  const references = async (input: DescribeImageReferencesCommandInput) =>
    (await owner.ec2.send(new DescribeImageReferencesCommand(input))).ImageReferences;
  const arn = (resource: string) => `arn:aws:ec2:us-east-1:000000000000:${resource}`;

  async function used() {
    const image = await owner.image();
    const { Instances } = await owner.ec2.send(
      new RunInstancesCommand({
        ImageId: (
          await ssm.send(
            new GetParameterCommand({ Name: '/aws/service/freebsd/amd64/small/ufs/15.1/RELEASE' }),
          )
        ).Parameter?.Value,
        InstanceType: 'm6i.large',
        MinCount: 1,
        MaxCount: 1,
      }),
    );
    return { image, instance: Instances?.[0]?.InstanceId ?? '', worker: Instances?.[0]?.ImageId ?? '' };
  }

  test('finds instances, launch templates and parameters', async () => {
    const { image, instance, worker } = await used();
    const id = await template(image);
    await ssm.send(
      new PutParameterCommand({
        Name: '/images/latest',
        Value: image,
        Type: 'String',
        DataType: 'aws:ec2:image',
      }),
    );
    for (;;) {
      const found = await references({ ImageIds: [image, worker], IncludeAllResourceTypes: true });
      if ((found ?? []).length < 3) continue; // The image of a parameter is looked up after the answer.
      expect(found).toEqual([
        { ImageId: worker, ResourceType: 'ec2:Instance', Arn: arn(`instance/${instance}`) },
        { ImageId: image, ResourceType: 'ec2:LaunchTemplate', Arn: arn(`launch-template/${id}`) },
        {
          ImageId: image,
          ResourceType: 'ssm:Parameter',
          Arn: 'arn:aws:ssm:us-east-1:000000000000:parameter/images/latest',
        },
      ]);
      break;
    }
    expect(
      await references({ ImageIds: [image], ResourceTypes: [{ ResourceType: 'ssm:Parameter' }] }),
    ).toHaveLength(1);
    expect(
      await references({
        ImageIds: [worker],
        ResourceTypes: [
          {
            ResourceType: 'ec2:Instance',
            ResourceTypeOptions: [{ OptionName: 'state-name', OptionValues: ['stopped'] }],
          },
        ],
      }),
    ).toEqual([]);
  });

  // version-depth: "The number of launch template versions to check, starting from the most recent version", 10.
  test('looks at the ten latest versions of a template, or as many as are asked for', async () => {
    const image = await owner.image();
    const id = await template(image);
    for (let number = 2; number <= 10; number++) await newVersion(id, 'ami-00000000000000001');
    expect(await references({ ImageIds: [image], IncludeAllResourceTypes: true })).toHaveLength(1);
    await newVersion(id, 'ami-00000000000000001');
    expect(await references({ ImageIds: [image], IncludeAllResourceTypes: true })).toEqual([]);
    const deep = {
      ResourceType: 'ec2:LaunchTemplate' as const,
      ResourceTypeOptions: [{ OptionName: 'version-depth' as const, OptionValues: ['11'] }],
    };
    expect(await references({ ImageIds: [image], ResourceTypes: [deep] })).toHaveLength(1);
  });

  test.each([
    [{ ImageIds: ['ami-00000000000000001'] }, 'MissingParameter'],
    [{ ImageIds: [], IncludeAllResourceTypes: true }, 'MissingParameter'],
    [
      { ImageIds: Array.from({ length: 11 }, () => 'ami-00000000000000001'), IncludeAllResourceTypes: true },
      'InvalidParameterValue',
    ],
    [
      { ImageIds: ['ami-00000000000000001'], ResourceTypes: [{ ResourceType: 'ec2:Fleet' as never }] },
      'InvalidParameterValue',
    ],
  ])('%j is refused', async (input, name) => {
    await expect(references(input)).rejects.toEqual(refusal(name));
  });
});
