import { describe, expect, it } from 'vitest';
import { allowed, type Question, type Statement } from '../../../local/iam/policy.ts';
import { judged } from '../judges/iam-simulate.ts';

/** Each line is answered by our evaluation and by one that is not ours. Sources: IAM User Guide, the pages named. */
const resource = 'arn:aws:ec2:us-east-1:000000000000:volume/vol-0123456789abcdef0';
const policy = (Condition: Statement['Condition'] = {}, more: Partial<Statement> = {}): Statement => ({
  Effect: 'Allow',
  Action: ['ec2:DeleteVolume'],
  Resource: ['arn:aws:ec2:*:*:volume/*'],
  Condition,
  ...more,
});
const ask = (context: Question['context'] = {}, action = 'ec2:DeleteVolume'): Question => ({
  action,
  resource,
  context,
});

const ours = 'aws:ResourceTag/build';

describe('a policy', () => {
  it.each<[what: string, statements: Statement[], question: Question, yes: boolean]>([
    ['that says nothing refuses', [], ask(), false],
    ['allows', [policy()], ask(), true],
    ['is about its actions, whatever their case', [policy()], ask({}, 'ec2:deletevolume'), true],
    ['is about its resources', [policy({}, { Resource: ['arn:aws:ec2:*:*:instance/*'] })], ask(), false],
    ['has wildcards over slashes and colons', [policy({}, { Resource: ['arn:aws:ec2:*'] })], ask(), true],
    ['refuses by one Deny', [policy(), policy({}, { Effect: 'Deny' })], ask(), false],
    ['StringEquals', [policy({ StringEquals: { [ours]: ['a', 'b'] } })], ask({ [ours]: 'b' }), true],
    ['StringEquals, another value', [policy({ StringEquals: { [ours]: 'a' } })], ask({ [ours]: 'A' }), false],
    [
      'StringEquals has no wildcards',
      [policy({ StringEquals: { [ours]: '*' } })],
      ask({ [ours]: 'a' }),
      false,
    ],
    ['StringEquals without the key', [policy({ StringEquals: { [ours]: 'a' } })], ask(), false],
    ['StringLike', [policy({ StringLike: { [ours]: '?*' } })], ask({ [ours]: 'a' }), true],
    ['StringLike, nothing', [policy({ StringLike: { [ours]: '?*' } })], ask({ [ours]: '' }), false],
    [
      'a key in another case',
      [policy({ StringLike: { 'AWS:resourcetag/build': '*' } })],
      ask({ [ours]: 'a' }),
      true,
    ],
    [
      'two keys are both meant',
      [policy({ StringLike: { [ours]: '*', 'ec2:Region': '*' } })],
      ask({ [ours]: 'a' }),
      false,
    ],
    [
      'two operators are both meant',
      [policy({ StringLike: { [ours]: '*' }, StringEquals: { [ours]: 'b' } })],
      ask({ [ours]: 'a' }),
      false,
    ],
    ['Null, absent', [policy({ Null: { [ours]: 'true' } })], ask(), true],
    ['Null, there', [policy({ Null: { [ours]: 'true' } })], ask({ [ours]: 'a' }), false],
    [
      'Bool',
      [policy({ Bool: { 'aws:SecureTransport': 'true' } })],
      ask({ 'aws:SecureTransport': 'true' }),
      true,
    ],
  ])('%s', async (_what, statements, question, yes) => {
    expect([allowed(statements, question), await judged(statements, question)]).toEqual([yes, yes]);
  });

  const create = (Condition: Statement['Condition']): Statement[] => [
    policy(Condition, { Action: ['ec2:CreateVolume'] }),
  ];
  const withKeys = (keys: string[] | undefined) =>
    ask(keys === undefined ? {} : { 'aws:TagKeys': keys }, 'ec2:CreateVolume');
  it.each([
    ['ForAllValues:StringEquals', ['a', 'b'], true],
    ['ForAllValues:StringEquals', ['a', 'c'], false],
    // "Returns true if the request contains no keys": Multivalued context keys.
    ['ForAllValues:StringEquals', undefined, true],
    ['ForAllValues:StringLike', ['a'], true],
    ['ForAnyValue:StringEquals', ['c', 'a'], true],
    ['ForAnyValue:StringEquals', ['c'], false],
    ['ForAnyValue:StringEquals', undefined, false],
    ['ForAnyValue:StringLike', ['c', 'b'], true],
  ])('%s of a and b, asked about %j: %s', async (operator, keys, yes) => {
    const statements = create({ [operator]: { 'aws:TagKeys': ['a', 'b'] } });
    const question = withKeys(keys);
    expect([allowed(statements, question), await judged(statements, question)]).toEqual([yes, yes]);
  });

  it('ArnEquals and ArnLike have wildcards', async () => {
    const key = 'ec2:Subnet';
    const subnet = 'arn:aws:ec2:us-east-1:000000000000:subnet/subnet-0123456789abcdef0';
    const question = {
      action: 'ec2:RunInstances',
      resource: 'arn:aws:ec2:us-east-1:000000000000:network-interface/*',
      context: { [key]: subnet },
    };
    for (const operator of ['ArnEquals', 'ArnLike']) {
      for (const [wanted, yes] of [
        [subnet, true],
        ['arn:aws:ec2:us-east-1:000000000000:subnet/*', true],
        ['arn:aws:ec2:us-east-1:111111111111:subnet/*', false],
      ] as const) {
        const statements: Statement[] = [
          {
            Effect: 'Allow',
            Action: ['ec2:RunInstances'],
            Resource: ['*'],
            Condition: { [operator]: { [key]: wanted } },
          },
        ];
        expect([allowed(statements, question), await judged(statements, question)]).toEqual([yes, yes]);
      }
    }
  });

  it('with an operator or a variable that is not modelled is no policy at all', () => {
    expect(() =>
      allowed([policy({ DateLessThan: { 'aws:CurrentTime': '2027-01-01T00:00:00Z' } })], ask()),
    ).toThrow('DateLessThan');
    const variable = ['arn:aws:ec2:*:*:volume/$', '{aws:username}'].join('');
    expect(() => allowed([policy({}, { Resource: [variable] })], ask())).toThrow('policy variables');
  });
});
