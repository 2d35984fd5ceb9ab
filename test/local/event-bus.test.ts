import {
  CreateStateMachineCommand,
  DescribeExecutionCommand,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { AwsClient } from 'aws4fetch';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStage, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(async () => {
  await stage.close();
  expect(stage.log).toEqual([]);
});

/** JSON services that the project has no client for. */
// biome-ignore lint/suspicious/noExplicitAny: answers of other services, looked into at once.
async function call(service: string, target: string, input: object, region = 'us-east-1'): Promise<any> {
  const client = new AwsClient({ ...stage.cloud.credentials, service, region });
  const response = await client.fetch(stage.cloud.endpoint, {
    method: 'POST',
    headers: { 'x-amz-target': target, 'content-type': 'application/x-amz-json-1.0' },
    body: JSON.stringify(input),
  });
  return response.json();
}
const put = (...Entries: object[]) => call('events', 'AWSEvents.PutEvents', { Entries });
const entry = { Source: 'ami-foundry', DetailType: 'Published', Detail: '{"release":"15.1"}' };

async function run(definition: object) {
  const states = new SFNClient(stage.client);
  const { stateMachineArn = '' } = await states.send(
    new CreateStateMachineCommand({
      name: `announce-${Math.random().toString(36).slice(2)}`,
      roleArn: 'arn:aws:iam::000000000000:role/r',
      definition: JSON.stringify({ QueryLanguage: 'JSONata', StartAt: 'Announce', ...definition }),
    }),
  );
  const { executionArn = '' } = await states.send(new StartExecutionCommand({ stateMachineArn }));
  for (;;) {
    const ended = await states.send(new DescribeExecutionCommand({ executionArn }));
    if (ended.status !== 'RUNNING') return { ...ended, stateMachineArn };
  }
}
const announce = (Entries: object[]) => ({
  States: {
    Announce: {
      Type: 'Task',
      Resource: 'arn:aws:states:::events:putEvents',
      Arguments: { Entries },
      End: true,
    },
  },
});

/** A topic with a queue that shows what came. */
async function topicWithQueue() {
  const sns = new SNSClient(stage.client);
  const { TopicArn = '' } = await sns.send(new CreateTopicCommand({ Name: 'releases' }));
  const { QueueUrl } = await call('sqs', 'AmazonSQS.CreateQueue', { QueueName: 'releases' });
  await sns.send(
    new SubscribeCommand({
      TopicArn,
      Protocol: 'sqs',
      Endpoint: 'arn:aws:sqs:us-east-1:000000000000:releases',
      Attributes: { RawMessageDelivery: 'true' },
    }),
  );
  const receive = async () => {
    for (;;) {
      const { Messages = [] } = await call('sqs', 'AmazonSQS.ReceiveMessage', { QueueUrl });
      if (Messages.length > 0) return JSON.parse(Messages[0].Body);
    }
  };
  return { TopicArn, receive };
}

describe('PutEvents', () => {
  // PutEvents: "Entries … includes both successful and unsuccessful entries".
  test('takes each entry for itself', async () => {
    const answer = await put(
      entry,
      { ...entry, Source: undefined },
      { ...entry, Detail: '{"release"' },
      { ...entry, Source: 'aws.ec2' },
    );
    expect(answer).toEqual({
      FailedEntryCount: 3,
      Entries: [
        { EventId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
        expect.objectContaining({ ErrorCode: 'InvalidArgument' }),
        { ErrorCode: 'MalformedDetail', ErrorMessage: 'Detail is malformed.' },
        expect.objectContaining({ ErrorCode: 'NotAuthorizedForSourceException' }),
      ],
    });
  });

  test.each([
    ['no entry', [], 'ValidationException'],
    ['eleven entries', Array.from({ length: 11 }, () => entry), 'ValidationException'],
    [
      'more than 256 KB',
      [{ ...entry, Detail: JSON.stringify({ x: 'x'.repeat(262_144) }) }],
      'ValidationException',
    ],
    ['another bus', [{ ...entry, EventBusName: 'mine' }], 'ResourceNotFoundException'],
  ])('refuses %s', async (_what, entries, name) => {
    expect(await put(...entries)).toMatchObject({ __type: name });
  });
});

describe('events:putEvents of Step Functions', () => {
  // "Add EventBridge events with Step Functions".
  test('appends its own ARNs, and a topic gets the event', async () => {
    const { TopicArn, receive } = await topicWithQueue();
    stage.cloud.events.patternRule('releases', { pattern: { source: ['ami-foundry'] }, target: TopicArn });
    const {
      status,
      output = '{}',
      executionArn,
      stateMachineArn,
    } = await run(
      announce([
        {
          Source: 'ami-foundry',
          DetailType: 'Published',
          Detail: { release: '{% "15." & "1" %}' },
          Resources: ['ami-1'],
        },
      ]),
    );
    expect(status).toBe('SUCCEEDED');
    expect(JSON.parse(output)).toMatchObject({
      Entries: [{ EventId: expect.any(String) }],
      FailedEntryCount: 0,
      SdkHttpMetadata: { HttpStatusCode: 200 },
    });
    expect(await receive()).toMatchObject({
      'detail-type': 'Published',
      detail: { release: '15.1' },
      resources: ['ami-1', executionArn, stateMachineArn],
    });
  });

  test('fails with EventBridge.FailedEntry when an entry failed', async () => {
    const { status, error, cause = '{}' } = await run(announce([entry, { ...entry, Source: 'aws.ec2' }]));
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'EventBridge.FailedEntry' });
    expect(JSON.parse(cause)).toMatchObject({ FailedEntryCount: 1 });
  });
});

describe('Service Quotas', () => {
  const quota = (input: object, region?: string) =>
    call('servicequotas', 'ServiceQuotasV20190624.GetServiceQuota', input, region);

  test('tell how many public images there may be, region by region', async () => {
    for (const region of ['us-east-1', 'eu-west-1']) {
      const { Quota } = await quota({ ServiceCode: 'ec2', QuotaCode: 'L-0E3CBAB9' }, region);
      expect(Quota).toMatchObject({ QuotaName: 'Public AMIs', Value: 5, Adjustable: true });
    }
    expect(await quota({ ServiceCode: 'ec2', QuotaCode: 'L-00000000' })).toMatchObject({
      __type: 'NoSuchResourceException',
    });
    const { Quotas } = await call('servicequotas', 'ServiceQuotasV20190624.ListServiceQuotas', {
      ServiceCode: 'ec2',
    });
    expect(Quotas).toHaveLength(2);
  });
});
