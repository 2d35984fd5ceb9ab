import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { StopExecutionCommand } from '@aws-sdk/client-sfn';
import { SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { AwsClient } from 'aws4fetch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { receiptSchema } from '../../core/api/receipt.ts';
import { busEvents } from '../../core/events.ts';
import { program } from '../local/judges/judges.ts';
import { type Factory, startFactory } from './local-build.ts';

/** Builds that begin and end on a local cloud with stubs, and everybody who is told: a queue, a web server, an SMTP server that is not ours. */

const WEBHOOK_SECRET = 'a secret of the webhook';
const FROM = 'factory@images.example.org';
const TO = 'people@example.org';

let factory: Factory;
let directory: string;
let hook: Server;
let relay: ReturnType<typeof spawn>;
const posted: { headers: IncomingHttpHeaders; body: string }[] = [];

/** Answers the webhook the next so many times with this. */
let refusals = 0;

const freePort = async (): Promise<number> => {
  const probe = createTcpServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
};

/** What the SMTP server has printed: each message with its headers (aiosmtpd.handlers.Debugging). */
let relayed = '';

async function until<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (let tries = 0; tries < 400; tries++) {
    const found = await look();
    if (found !== undefined) return found;
    await pause(50);
  }
  throw new Error('it did not come about in 20 seconds');
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'foundry-notices-'));
  hook = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const refuses = refusals > 0;
      if (refuses) refusals -= 1;
      else posted.push({ headers: request.headers, body: Buffer.concat(parts).toString('utf8') });
      response.writeHead(refuses ? 503 : 204).end();
    });
  });
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  const port = await freePort();
  const handler = ['-c', 'aiosmtpd.handlers.Debugging', 'stdout'];
  relay = spawn(
    program('python3'),
    ['-u', '-m', 'aiosmtpd', '--nosetuid', '--listen', `127.0.0.1:${port}`, ...handler],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  relay.stdout?.on('data', (text) => {
    relayed += String(text);
  });
  factory = await startFactory({
    cloud: { stub: {} },
    notify: {
      MAIL_TO: TO,
      MAIL_FROM: FROM,
      RELAY_HOST: '127.0.0.1',
      RELAY_PORT: String(port),
      RELAY_TLS: 'none',
      WEBHOOK_URL: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/images`,
      WEBHOOK_SECRET_PARAMETER: '/company/webhook',
    },
  });
  const { region, endpoint, credentials } = factory.cloud;
  await new SSMClient({ region, endpoint, credentials }).send(
    new PutParameterCommand({ Name: '/company/webhook', Type: 'SecureString', Value: WEBHOOK_SECRET }),
  );
}, 120_000);

afterAll(async () => {
  await factory[Symbol.asyncDispose]();
  relay.kill();
  await new Promise((resolve) => hook.close(resolve));
  await rm(directory, { recursive: true });
});

const object = async (key: string): Promise<string | undefined> =>
  await factory.s3
    .send(new GetObjectCommand({ Bucket: 'ami-foundry-artifacts', Key: key }))
    .then(async ({ Body }) => await Body?.transformToString())
    .catch((error: unknown) => {
      if (error instanceof Error && error.name === 'NoSuchKey') return undefined;
      throw error;
    });

const receiptOf = async (build: string) =>
  receiptSchema.parse(JSON.parse(await until(() => object(`builds/${build}/receipt.json`))));

const postedOf = (type: string, build: string) =>
  until(() =>
    posted.find(({ body }) => {
      const event = JSON.parse(body);
      return event['detail-type'] === type && event.detail.build === build;
    }),
  );

const sqs = async (operation: string, input: object): Promise<unknown> => {
  const client = new AwsClient({ ...factory.cloud.credentials, service: 'sqs', region: 'us-east-1' });
  const answer = await client.fetch(factory.cloud.endpoint, {
    method: 'POST',
    body: JSON.stringify(input),
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${operation}` },
  });
  return await answer.json();
};

describe('a build that ends well', () => {
  const build = 'ends-well';

  it('has a receipt, with the records of its image too', async () => {
    const { region, endpoint, credentials } = factory.cloud;
    await sqs('CreateQueue', { QueueName: 'people' });
    await new SNSClient({ region, endpoint, credentials }).send(
      new SubscribeCommand({
        TopicArn: factory.topicArn,
        Protocol: 'sqs',
        Endpoint: `arn:aws:sqs:${region}:${factory.cloud.accountId}:people`,
        Attributes: { RawMessageDelivery: 'true' },
      }),
    );
    const ended = await factory.end(await factory.start({ recipe: factory.recipe({ bootTest: {} }) }, build));
    expect(ended.status, ended.cause).toBe('SUCCEEDED');
    const receipt = await receiptOf(build);
    expect(receipt).toMatchObject({ build, status: 'SUCCEEDED', region: 'us-east-1' });
    expect(receipt.estimate?.seconds).toBeGreaterThan(60);
    expect(receipt.steps.map(({ name }) => name)).toContain('WaitForBoot');
    expect(receipt.lines.map(({ name }) => name)).toContain('boot test m6i.large');
    expect(await until(() => object(`images/${build}/receipt.json`))).toBe(
      await object(`builds/${build}/receipt.json`),
    );
  }, 60_000);

  it('is told to who has subscribed to the topic', async () => {
    const event = await until(async () => {
      const { Messages = [] } = (await sqs('ReceiveMessage', {
        QueueUrl: `${factory.cloud.endpoint}/${factory.cloud.accountId}/people`,
      })) as { Messages?: { Body: string }[] };
      return Messages.map(({ Body }) => JSON.parse(Body)).find(({ detail }) => detail.build === build);
    });
    expect(event).toMatchObject({ source: 'ami-foundry', 'detail-type': 'Build Succeeded' });
    const detail = busEvents['Build Succeeded'].detail.parse(event.detail);
    expect(detail).toMatchObject({ recipe: 'test-image', adopted: false });
    expect(detail.dollars).toBe((await receiptOf(build)).dollars);
  }, 30_000);

  it('is posted to the webhook, signed so that openssl says the same', async () => {
    const { headers, body } = await postedOf('Build Succeeded', build);
    const file = join(directory, 'body');
    await writeFile(file, body);
    const told = execFileSync('openssl', ['dgst', '-sha256', '-hmac', WEBHOOK_SECRET, file], {
      encoding: 'utf8',
    });
    expect(headers['x-ami-foundry-signature']).toBe(`sha256=${told.trim().split('= ').at(-1)}`);
    expect(headers['x-ami-foundry-event']).toBe('Build Succeeded');
    expect(headers['x-ami-foundry-delivery']).toBe(JSON.parse(body).id);
  }, 30_000);

  it('is mailed by the relay, as SES knows no such sender', async () => {
    const message = await until(() =>
      relayed.includes(build) && relayed.includes('END') ? relayed : undefined,
    );
    expect(message).toContain(`To: ${TO}`);
    expect(message).toContain(`From: ${FROM}`);
    expect(message).toMatch(/Subject: ami-foundry: test-image built: ami-[0-9a-f]+/);
    expect(factory.cloud.ses.sent).toEqual([]);
  }, 30_000);
});

describe('a build that fails', () => {
  const build = 'fails';

  it('is told with the line that decided, the runbook and how to go on; by SES, once the domain is verified', async () => {
    factory.cloud.ses.verify('images.example.org');
    factory.cloud.faults.add({
      service: 'ec2',
      action: 'RegisterImage',
      times: Number.POSITIVE_INFINITY,
      error: { code: 'InvalidParameterCombination', status: 400 },
    });
    // The webhook is not well, and is told again.
    refusals = 1;
    const arn = await factory.start(
      { recipe: factory.recipe({ name: 'failing', timezone: 'Asia/Tokyo' }) },
      build,
    );
    const ended = await factory.end(arn);
    factory.cloud.faults.clear();
    expect(ended.status).toBe('FAILED');
    const event = JSON.parse((await postedOf('Build Failed', build)).body);
    const detail = busEvents['Build Failed'].detail.parse(event.detail);
    expect(detail).toMatchObject({
      status: 'FAILED',
      code: 'InvalidParameterCombination',
      recipe: 'failing',
      resume: `foundry resume ${arn}`,
      runbook: 'docs/runbook.md',
    });
    expect(detail.kept).toEqual([expect.stringMatching(/^snap-/)]);
    expect(detail.decisive).not.toBe('');
    const mail = await until(() => factory.cloud.ses.sent.find(({ text }) => text.includes(build)));
    expect(mail).toMatchObject({ from: FROM, to: [TO] });
    expect(mail.subject).toContain('failing failed: InvalidParameterCombination');
    expect(mail.text).toContain(`foundry resume ${arn}`);
    const receipt = await receiptOf(build);
    expect(receipt).toMatchObject({ status: 'FAILED', monthlyDollars: 0 });
    expect(receipt.dollars).toBeGreaterThan(0);
  }, 60_000);
});

describe('a build that is stopped', () => {
  it('is told so, with what it has cost so far', async () => {
    const build = 'is-stopped';
    const arn = await factory.start(
      { recipe: factory.recipe({ name: 'stopped', timezone: 'Asia/Seoul' }) },
      build,
    );
    await until(() =>
      factory.cloud.faults.calls.some(
        ({ action, invocation }) =>
          action === 'GetConsoleOutput' && JSON.stringify(invocation?.payload).includes(build),
      )
        ? true
        : undefined,
    );
    await factory.sfn.send(new StopExecutionCommand({ executionArn: arn, cause: 'not wanted any more' }));
    const event = JSON.parse((await postedOf('Build Aborted', build)).body);
    expect(busEvents['Build Aborted'].detail.parse(event.detail)).toMatchObject({
      decisive: 'not wanted any more',
      resume: `foundry resume ${arn}`,
    });
    const receipt = await receiptOf(build);
    expect(receipt.status).toBe('ABORTED');
    expect(receipt.lines[0]?.name).toBe('worker m6i.large');
  }, 60_000);
});

it('a dry run says nothing and has no receipt', async () => {
  const build = 'dry';
  const arn = await factory.start({ recipe: factory.recipe({ name: 'dry' }), dryRun: true }, build);
  expect((await factory.end(arn)).status).toBe('SUCCEEDED');
  await pause(1000);
  expect(await object(`builds/${build}/receipt.json`)).toBeUndefined();
  expect(posted.filter(({ body }) => body.includes(`"build":"${build}"`))).toEqual([]);
});

it('no secret is in a log of these functions', async () => {
  const logs = await readFile(join(factory.stateDirectory, 'logs/ami-foundry-notify.log'), 'utf8');
  expect(logs).toContain('told');
  expect(logs).not.toContain(WEBHOOK_SECRET);
});
