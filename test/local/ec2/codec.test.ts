import * as sdk from '@aws-sdk/client-ec2';
import { NormalizedSchema } from '@smithy/core/schema';
import { describe, expect, test } from 'vitest';
import { escapeXml, operationNamed, parseInput, renderOutput } from '../../../local/ec2/codec.ts';

const operation = (name: string) => {
  const found = operationNamed(name);
  if (!found) throw new Error(`no schema for ${name}`);
  return found;
};
const parse = (name: string, query: string) => parseInput(operation(name), new URLSearchParams(query));

describe('the schemas that client-ec2 exports', () => {
  test('are where the codec looks for them, for every action there is', () => {
    const names = Object.keys(sdk).filter((name) => /^[A-Z].*Command$/.test(name));
    expect(names.length).toBeGreaterThan(600);
    const missing = names.map((name) => name.replace(/Command$/, '')).filter((name) => !operationNamed(name));
    expect(missing).toEqual([]);
  });

  test('carry names on the wire and required members', () => {
    const input = operation('RunInstances').input;
    expect((input.getSchema() as readonly unknown[])[6]).toBe(2);
    expect(input.getMemberSchema('BlockDeviceMappings').getMergedTraits()).toMatchObject({
      xmlName: 'BlockDeviceMapping',
    });
    expect(input).toBeInstanceOf(NormalizedSchema);
  });

  test('tell what is no action', () => {
    expect(operationNamed('Tag')).toBeUndefined();
    expect(operationNamed('MakeCoffee')).toBeUndefined();
  });
});

describe('reading a request', () => {
  test('nested lists, numbers, booleans and dates come out typed', () => {
    const input = parse(
      'RunInstances',
      'Action=RunInstances&Version=2016-11-15&ImageId=ami-1&MinCount=1&MaxCount=2&BlockDeviceMapping.1.DeviceName=%2Fdev%2Fsda1' +
        '&BlockDeviceMapping.1.Ebs.VolumeSize=10&BlockDeviceMapping.1.Ebs.DeleteOnTermination=false' +
        '&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=&DryRun=true',
    );
    expect(input).toEqual({
      ImageId: 'ami-1',
      MinCount: 1,
      MaxCount: 2,
      DryRun: true,
      BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { VolumeSize: 10, DeleteOnTermination: false } }],
      TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: 'a', Value: '' }] }],
    });
    expect(parse('EnableImageDeprecation', 'ImageId=ami-1&DeprecateAt=2027-01-01T00:00:00Z')).toEqual({
      ImageId: 'ami-1',
      DeprecateAt: new Date('2027-01-01T00:00:00Z'),
    });
  });

  test('list items keep the order of their numbers, not of their text', () => {
    const query = Array.from({ length: 12 }, (_, index) => `VolumeId.${index + 1}=v${index + 1}`).reverse();
    expect(parse('DescribeVolumes', query.join('&'))).toEqual({
      VolumeIds: Array.from({ length: 12 }, (_, index) => `v${index + 1}`),
    });
  });

  test.each([
    ['a parameter that no member claims', 'DescribeVolumes', 'Colour=red', 'UnknownParameter'],
    ['a missing required member', 'RunInstances', 'MaxCount=1', 'MissingParameter'],
    ['a number that is none', 'RunInstances', 'MinCount=one&MaxCount=1', 'InvalidParameterValue'],
    ['a boolean that is none', 'DescribeVolumes', 'DryRun=perhaps', 'InvalidParameterValue'],
    ['a date that is none', 'EnableImageDeprecation', 'ImageId=a&DeprecateAt=soon', 'InvalidParameterValue'],
  ])('refuses %s', (_what, action, query, code) => {
    expect(() => parse(action, query)).toThrow(expect.objectContaining({ name: code }));
  });
});

describe('writing an answer', () => {
  test('lists, dates and nested members have their names on the wire', () => {
    const xml = renderOutput(operation('DescribeVolumes'), {
      Volumes: [{ VolumeId: 'vol-1', Size: 1, CreateTime: new Date(0), Tags: [{ Key: 'k', Value: 'a&b' }] }],
      NextToken: 't',
    });
    expect(xml).toContain('<volumeSet><item>');
    expect(xml).toContain('<volumeId>vol-1</volumeId>');
    expect(xml).toContain('<createTime>1970-01-01T00:00:00.000Z</createTime>');
    expect(xml).toContain('<tagSet><item><key>k</key><value>a&amp;b</value></item></tagSet>');
    expect(xml).toContain('<nextToken>t</nextToken>');
  });

  test('a member that the shape does not have is a bug and throws', () => {
    expect(() => renderOutput(operation('DescribeVolumes'), { Volumen: [] })).toThrow('no member Volumen');
  });

  test('what XML cannot carry is replaced, what it would change is escaped', () => {
    expect(escapeXml('a\u0000b\u001b[0m <&> "x"\r\n')).toBe(
      'a\ufffdb\ufffd[0m &lt;&amp;&gt; &quot;x&quot;&#13;\n',
    );
  });
});
