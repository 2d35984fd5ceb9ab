import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { tagKey } from '../../core/names.ts';
import { functionNameOf, windowsImageParameter } from '../../local/deploy.ts';
import type { Decision } from '../../local/iam/iam.ts';
import { allowed, applies, type Question, type Statement } from '../../local/iam/policy.ts';
import type { StubBehaviour } from '../../local/instance-host/stub.ts';
import { localPolicies } from '../infra/local-policies.ts';
import { functionNames } from '../infra/synthesized.ts';
import { judged } from '../local/judges/iam-simulate.ts';
import { type Factory, startFactory } from './local-build.ts';
import { COPY_REGIONS, keyArn, PASSWORD_HASH, roads, SOURCES, stub, take, URL_PASSWORD } from './roads.ts';
import { keysOf, presigned, type Secret, spilled, writings } from './secrets.ts';

/**
 * The factory on a local cloud that holds each role to the policy that infra/ gives it. Everything here is about calls that were
 * made: by builds that end well, badly and not at all.
 */

const STATE_MACHINE = 'ami-foundry-build-image';
const MATRIX_MACHINE = 'ami-foundry-build-matrix';
const roles = [...functionNames.map(functionNameOf), STATE_MACHINE, MATRIX_MACHINE];

/** Lambda and Step Functions make these themselves, in the name of the role: no emulator does. */
const ofTheService = /^(logs|xray):/;

/** What the EBS direct APIs ask of a key is not modelled: local/iam/questions.ts. */
const keyOf = (...more: string[]) =>
  [
    'kms:Decrypt',
    'kms:DescribeKey',
    'kms:GenerateDataKeyWithoutPlaintext',
    'kms:ReEncryptFrom',
    'kms:ReEncryptTo',
    ...more,
    'kms:CreateGrant',
  ].map((action) => `${action} on one of the keys`);
const keyOfDisk = keyOf();
const keyOfEbs = keyOf('kms:Encrypt', 'kms:GenerateDataKey');

/** Grants that no build on a local cloud uses, each with its reason. */
const unseen: Readonly<Record<string, readonly string[]>> = {
  'ami-foundry-start-snapshot': keyOfEbs,
  'ami-foundry-write-blocks': keyOfEbs,
  'ami-foundry-complete-snapshot': keyOfEbs,
  [MATRIX_MACHINE]: [
    // What a Map Run does to its own children: no emulator asks whether it may.
    'states:DescribeExecution on arn:aws:states:us-east-1:000000000000:execution:ami-foundry-build-matrix:*',
    'states:StopExecution on arn:aws:states:us-east-1:000000000000:execution:ami-foundry-build-matrix:*',
    'states:RedriveExecution on arn:aws:states:us-east-1:000000000000:execution:ami-foundry-build-matrix/Build:*',
    // Step Functions makes this rule for itself, to hear of nested executions.
    ...['PutTargets', 'PutRule', 'DescribeRule'].map(
      (action) =>
        `events:${action} on arn:aws:events:us-east-1:000000000000:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule`,
    ),
  ],
  // Only an account that encrypts everything by default needs its key on the windows road.
  'ami-foundry-launch-windows': keyOfDisk,
  // Only what is kept of a failed build, and is about to be taken away, is given more time.
  'ami-foundry-plan': ['ec2:CreateTags on arn:aws:ec2:us-east-1::snapshot/*'],
  // Whether EC2 asks about a disk that the request names by its device is not documented.
  'ami-foundry-swap-root': [
    ...keyOfDisk,
    'ec2:ModifyInstanceAttribute on arn:aws:ec2:us-east-1:000000000000:volume/*',
  ],
  // The machines of the local cloud have a console and no screen.
  'ami-foundry-wait-for-boot': ['s3:PutObject on arn:aws:s3:::ami-foundry-artifacts/builds/*/boot/*.jpg'],
};

/** Which of the worker's subnets has room is nothing to a grant, nor which of the regions is done first, nor which of its keys a recipe takes: one stands for all. */
const alike = (resource: string) =>
  resource
    .replace(/:subnet\/subnet-[0-9a-f]{17}$/, ':subnet/one of them')
    .replace(/^arn:aws:kms:.*/, 'one of the keys')
    .replace(new RegExp(`:(${COPY_REGIONS.join('|')}):`), ':one of them:');

/** What the cloud itself says. */
const log: string[] = [];
let factory: Factory;
let policies: Record<string, Statement[]>;
/** Of the cloud's earlier life. */
const earlier: Decision[] = [];

/** Starts a cloud, or goes on with one, in which the policies hold. */
async function open(stateDirectory?: string, stubbed?: StubBehaviour): Promise<void> {
  let grant: (context: Record<string, string>) => typeof policies = () => ({});
  factory = await startFactory({
    stateDirectory,
    // As the policies have it; and what is put away is deleted by the next run.
    parameterPrefix: '/ami-foundry/',
    quarantineDays: 0,
    policies: (place) => {
      grant = (context) => localPolicies(place, context);
      return {};
    },
    cloud: {
      // Longer than a snapshot step is patient: a guest that does not answer the ejection.
      delays: { volumeDetaching: 1500 },
      log: (line) => log.push(line),
      ...(stubbed ? { stub: stubbed } : {}),
    },
  });
  const keys = [factory.cloud.region, COPY_REGIONS[0]].map((region) => keyArn(factory, region));
  policies = grant({
    sourceBuckets: SOURCES,
    windowsImageParameter,
    distributionRegions: COPY_REGIONS.join(','),
    kmsKeys: (await Promise.all(keys)).join(','),
  });
  enforce();
}

function enforce(): void {
  for (const role of roles) factory.cloud.iam.setPolicy(role, policies[role] ?? []);
}

afterAll(() => factory[Symbol.asyncDispose]());

const statementsOf = (role: string) =>
  (policies[role] ?? []).filter(({ Action }) => !Action.every((action) => ofTheService.test(action)));

const decisions = () => [...earlier, ...factory.cloud.iam.decisions];
const asked = (role: string) => decisions().filter((one) => one.role === role);

/** One of each kind: ids and names of builds told apart no further. */
function kinds(role: string): Question[] {
  const seen = new Map<string, Question>();
  for (const { action, resource, context } of asked(role)) {
    const key = JSON.stringify([action, resource.replaceAll(/[0-9a-f]{17}/g, ''), Object.keys(context)]);
    seen.set(key, { action, resource, context });
  }
  return [...seen.values()];
}

describe('a build by a true worker', () => {
  beforeAll(() => open(), 120_000);
  afterAll(async () => {
    earlier.push(...factory.cloud.iam.decisions);
    await factory.cloud.stop();
    await factory.mirror.close();
  });

  it.each(roads.filter(({ trueWorker }) => trueWorker))(
    'that $name ends as it would if all were allowed',
    async (road) => {
      await take(factory, road);
    },
    120_000,
  );
});

describe('a build by a stub', () => {
  beforeAll(() => open(factory.stateDirectory, stub), 120_000);

  it.each(roads.filter(({ trueWorker }) => !trueWorker))(
    'that $name ends as it would if all were allowed',
    async (road) => {
      await take(factory, road);
    },
    120_000,
  );
});

it('no build ever asked for what it may not do', () => {
  expect(decisions().filter((one) => !one.allowed)).toEqual([]);
});

describe.each(roles)('%s', (role) => {
  it('has used every action on every resource that it is granted', () => {
    const unused = statementsOf(role).flatMap((statement) =>
      statement.Action.flatMap((action) =>
        [...Map.groupBy(statement.Resource, alike)]
          .filter(([, Resource]) => {
            const grant = { ...statement, Action: [action], Resource };
            return !asked(role).some((question) => applies(grant, question));
          })
          .map(([resource]) => `${action} on ${resource}`),
      ),
    );
    expect(unused).toEqual(unseen[role] ?? []);
  });
});

it('every statement is needed: without it some call of these builds is refused', () => {
  const removals = roles.flatMap((role) =>
    statementsOf(role).map((statement) => {
      const rest = statementsOf(role).filter((one) => one !== statement);
      return { role, statement, refused: kinds(role).filter((question) => !allowed(rest, question)) };
    }),
  );
  const idle = removals.filter(
    ({ role, statement: { Action, Resource }, refused }) =>
      refused.length === 0 &&
      !Action.every((action) =>
        Resource.every((resource) => unseen[role]?.includes(`${action} on ${alike(resource)}`)),
      ),
  );
  console.log(
    `${decisions().length} questions of ${roles.length} roles; ${removals.length} statements removed in turn, ${removals.length - idle.length} of them missed`,
  );
  expect(idle.map(({ role, statement }) => ({ role, statement }))).toEqual([]);
});

/** Questions that were asked, changed into ones that must be refused. */
interface Strange {
  readonly role: string;
  readonly question: Question;
}

const changed = (
  change: (question: Question, role: string) => (Question | undefined)[] | Question | undefined,
): Strange[] =>
  roles.flatMap((role) =>
    kinds(role).flatMap((question) =>
      [change(question, role)]
        .flat()
        .filter((each) => each !== undefined)
        .map((each) => ({ role, question: each })),
    ),
  );

const without = (question: Question, key: RegExp, more: Question['context'] = {}): Question => ({
  ...question,
  context: {
    ...Object.fromEntries(Object.entries(question.context).filter(([name]) => !key.test(name))),
    ...more,
  },
});

const ownTag = `aws:ResourceTag/${tagKey.build}`;
const newTag = `aws:RequestTag/${tagKey.build}`;
const launches = ({ action, resource }: Question, type: string) =>
  action === 'ec2:RunInstances' && resource.includes(`:${type}/`);
const as = (question: Question, key: string, value: string) => ({
  ...question,
  context: { ...question.context, [key]: value },
});

const refusals: readonly {
  readonly what: string;
  readonly strange: () => Strange[];
  readonly least: number;
}[] = [
  {
    what: 'touches what the factory did not make',
    least: 30,
    strange: () =>
      changed((question) =>
        ownTag in question.context
          ? [
              without(question, /ResourceTag/),
              without(question, /ResourceTag/, { [ownTag]: '' }),
              without(question, /ResourceTag/, { 'aws:ResourceTag/team': 'payments' }),
            ]
          : undefined,
      ),
  },
  {
    what: 'makes anything without the factory’s tag',
    least: 6,
    strange: () =>
      changed((question) =>
        newTag in question.context ? without(question, /RequestTag|TagKeys/) : undefined,
      ).filter(({ question }) => question.action !== 'ec2:CreateTags'),
  },
  {
    what: 'tags what exists',
    least: 5,
    strange: () =>
      changed((question) =>
        'ec2:CreateAction' in question.context ? without(question, /CreateAction/) : undefined,
      ),
  },
  {
    what: 'gives what exists another tag than the one that it is there for',
    least: 2,
    strange: () =>
      changed((question) =>
        question.action === 'ec2:CreateTags' && ownTag in question.context
          ? [tagKey.build, 'access'].map((key) => without(question, /TagKeys/, { 'aws:TagKeys': [key] }))
          : undefined,
      ),
  },
  {
    what: 'gives a worker or its disk tags of its own',
    least: 3,
    strange: () =>
      changed((question, role) =>
        role === functionNameOf('launch') &&
        question.action !== 'ec2:CreateTags' &&
        newTag in question.context
          ? without(question, /TagKeys/, { 'aws:TagKeys': [tagKey.build, 'access'] })
          : undefined,
      ),
  },
  {
    what: 'launches without IMDSv2, of another type, or elsewhere',
    least: 10,
    strange: () =>
      changed((question) => {
        if (launches(question, 'instance')) {
          return [
            as(question, 'ec2:MetadataHttpTokens', 'optional'),
            as(question, 'ec2:InstanceType', 'p5.48xlarge'),
          ];
        }
        const other = (type: string) => question.resource.replace(/[^/]+$/, `${type}-0fedcba9876543210`);
        if (launches(question, 'subnet')) return { ...question, resource: other('subnet') };
        if (launches(question, 'security-group')) return { ...question, resource: other('sg') };
        if (launches(question, 'network-interface')) {
          const subnet = String(question.context['ec2:Subnet']).replace(/[^/]+$/, 'subnet-0fedcba9876543210');
          return as(question, 'ec2:Subnet', subnet);
        }
        return undefined;
      }),
  },
  {
    what: 'asks about the executions of another state machine, or calls another function',
    least: 5,
    strange: () =>
      changed((question) =>
        /^(states|lambda):/.test(question.action)
          ? { ...question, resource: question.resource.replace('ami-foundry', 'other') }
          : undefined,
      ),
  },
  {
    what: 'uses a key, but through EC2',
    least: 21,
    strange: () =>
      changed((question) => [
        'kms:ViaService' in question.context ? without(question, /ViaService/) : undefined,
        'kms:GrantIsForAWSResource' in question.context ? without(question, /GrantIs/) : undefined,
      ]),
  },
  {
    what: 'reaches into another bucket, or elsewhere in its own',
    least: 10,
    strange: () =>
      changed((question) =>
        question.action.startsWith('s3:')
          ? [
              { ...question, resource: question.resource.replace(/:::[^/]+/, ':::others') },
              ...(question.action === 's3:ListBucket'
                ? [as(question, 's3:prefix', 'builds/')]
                : question.resource.includes(`:::${SOURCES}/`)
                  ? []
                  : [{ ...question, resource: question.resource.replace(/[^/]+$/, 'other') }]),
            ]
          : undefined,
      ),
  },
];

describe('nobody', () => {
  it.each(refusals)('$what', ({ strange, least }) => {
    const questions = strange();
    expect(questions.length).toBeGreaterThanOrEqual(least);
    expect(questions.filter(({ role, question }) => allowed(statementsOf(role), question))).toEqual([]);
  });
});

it('an evaluator that is not ours says the same, with each statement and without it', async () => {
  const strange = refusals.flatMap((refusal) => refusal.strange());
  const questions = [
    ...roles.flatMap((role) => kinds(role).map((question) => ({ role, question }))),
    ...strange,
  ];
  let compared = 0;
  const different: unknown[] = [];
  for (const { role, question } of questions) {
    const all = statementsOf(role);
    // Only statements about this very action can make a difference.
    const about = all.filter(({ Action }) => Action.includes(question.action));
    for (const left of [undefined, ...about]) {
      // With all that the role has, and then with what can decide: theirs takes as long as a policy is.
      const statements = left === undefined ? all : about.filter((one) => one !== left);
      const theirs = await judged(statements, question);
      if (theirs !== allowed(statements, question)) different.push({ role, question, left, theirs });
      compared += 1;
    }
  }
  console.log(
    `${questions.length} questions, ${strange.length} of them to be refused; ${compared} verdicts compared`,
  );
  expect(different).toEqual([]);
}, 120_000);

describe('no secret is written where it does not belong', () => {
  const secrets = (): Secret[] => [
    ...presigned,
    ...keysOf(factory, roles),
    { what: 'a password hash', text: PASSWORD_HASH, ofRecipe: true },
    { what: 'the password in a URL', text: URL_PASSWORD, ofRecipe: true },
  ];

  it('in logs, histories, consoles and artifacts of all these builds', async () => {
    const all = await writings(factory, log);
    const characters = all.reduce((sum, { text }) => sum + text.length, 0);
    console.log(`${all.length} writings, ${characters} characters, ${secrets().length} secrets looked for`);
    for (const kind of [
      /logs\/ami-foundry-plan/,
      /consoles\//,
      /states\//,
      /console\.log$/,
      /report\.json$/,
    ]) {
      expect(all.some(({ where, text }) => kind.test(where) && text !== '')).toBe(true);
    }
    expect(spilled(all, secrets())).toEqual([]);
  });

  it('nor would it go unseen, in any of these places or in base64', async () => {
    const job = await factory.s3.send(
      new GetObjectCommand({ Bucket: 'ami-foundry-artifacts', Key: 'builds/boots/job' }),
    );
    const text = (await job.Body?.transformToString()) ?? '';
    // The job holds what must be nowhere else: it is what to plant.
    const [url = ''] = /http\S+X-Amz-Signature=\S+/.exec(text) ?? [];
    expect(url).toContain('X-Amz-Security-Token');
    const base64 = Buffer.from(`#!/bin/sh\nfetch '${url}'\n`).toString('base64');
    await appendFile(join(factory.stateDirectory, 'logs/ami-foundry-plan.log'), url);
    await appendFile(join(factory.stateDirectory, 'consoles/planted'), base64);
    const put = {
      Bucket: 'ami-foundry-artifacts',
      Key: 'builds/boots/planted.log',
      Body: `${url}\n${PASSWORD_HASH}`,
    };
    await factory.s3.send(new PutObjectCommand(put));
    const found = spilled(await writings(factory, [...log, base64]), secrets());
    const what = ['a signature', 'a credential', 'a token in a URL', 'the session token of ami-foundry-plan'];
    const places = [
      /logs\/ami-foundry-plan\.log$/,
      /consoles\/planted$/,
      /planted\.log$/,
      /log of the cloud$/,
    ];
    for (const place of places) {
      expect(
        found.filter((one) => place.test(one)).map((one) => one.split(' in ').slice(0, -1).join(' in ')),
      ).toEqual(expect.arrayContaining(what));
    }
    expect(found).toContain('a password hash in s3://ami-foundry-artifacts/builds/boots/planted.log');
  });
});

describe('without one statement a build fails, and says what it may not do:', () => {
  afterEach(enforce);

  it.each([
    ['plan', 'ssm:GetParameter'],
    ['launch', 'ec2:CreateVolume'],
    ['register', 'ec2:CreateTags'],
  ] as const)(
    '%s without %s',
    async (name, action) => {
      const role = functionNameOf(name);
      const fewer = statementsOf(role).filter(({ Action }) => !Action.includes(action));
      expect(fewer.length).toBeLessThan(statementsOf(role).length);
      factory.cloud.iam.setPolicy(role, fewer);
      const executionArn = await factory.start({ recipe: factory.recipe({ name: `no-${name}` }) });
      const { status, cause } = await factory.end(executionArn);
      expect(status).toBe('FAILED');
      expect(cause).toContain(`role/${role}/`);
      expect(cause).toContain(`is not authorized to perform: ${action}`);
    },
    60_000,
  );

  it('the state machine without its functions', async () => {
    factory.cloud.iam.setPolicy(STATE_MACHINE, []);
    const executionArn = await factory.start({ recipe: factory.recipe({ name: 'no-functions' }) });
    const { status, cause } = await factory.end(executionArn);
    expect(status).toBe('FAILED');
    expect(cause).toContain('is not authorized to perform: lambda:InvokeFunction');
  });
});
