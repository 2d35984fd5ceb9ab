import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { beforeAll, describe, expect, it } from 'vitest';
import { apiRoutes } from '../../core/api/routes.ts';
import { apiFunctions, functionEnvironment, readEnvironment } from '../../core/function-environment.ts';
import { readSettings, settingNames } from '../../infra/settings.ts';
import { functionNames, type Synthesized, synthesize } from './synthesized.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
let stack: Synthesized;
beforeAll(() => {
  // With every setting that a function has in its environment only if the deployment says it.
  stack = synthesize({
    distributionRegions: 'eu-west-1,us-west-2',
    notifyEmail: 'images@example.org',
    notifySender: 'factory@example.org',
    notifyRelay: 'relay.example.org:587',
    notifyRelaySecret: '/company/relay',
    notifyWebhook: 'https://hooks.example.org/images',
    notifyWebhookSecret: '/company/webhook',
  });
});

describe('synthesis', () => {
  it('needs neither the CLI nor an account', () => {
    const outdir = mkdtempSync(join(tmpdir(), 'foundry-app-'));
    execFileSync(process.execPath, ['infra/app.ts'], {
      cwd: root,
      env: { PATH: process.env.PATH, CDK_OUTDIR: outdir },
    });
    const { artifacts } = JSON.parse(readFileSync(join(outdir, 'manifest.json'), 'utf8'));
    expect(artifacts.AmiFoundry.environment).toBe('aws://unknown-account/unknown-region');
    // 2 s alone; a process that loads all of CDK feels every other test file that runs beside it.
  }, 60_000);

  it('is stopped by a finding of AwsSolutions that nobody has answered', () => {
    const careless = () => synthesize({}, (within) => new Bucket(within, 'Careless'));
    expect(careless).toThrow(/AmiFoundry\/Careless[\s\S]*AwsSolutions-S10/);
  });
});

describe.each(functionNames)('the %s function', (name) => {
  it('runs Node 24 on arm64', () =>
    expect(stack.function(name).Properties).toMatchObject({
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
      // API Gateway waits for 30.
      Timeout:
        { reaper: 300, retention: 900, 'watch-releases': 300 }[name as string] ??
        (name in apiRoutes ? 29 : 60),
      // A piece of 128 MiB, and a full processor to hash it.
      MemorySize: name === 'write-blocks' ? 1769 : 256,
    }));

  it('is repeated by Lambda when it fails and nobody waits, but for what starts builds', () => {
    const never = Object.values(stack.ofType('AWS::Lambda::EventInvokeConfig')).filter(
      ({ Properties }) =>
        stack.resources[Properties.FunctionName] === stack.function(name) &&
        Properties.MaximumRetryAttempts === 0,
    );
    expect(never).toHaveLength(name === 'watch-releases' ? 1 : 0);
  });

  it('finds in its environment what it reads, and nothing else', () => {
    const { Variables = {} } = stack.function(name).Properties.Environment ?? {};
    expect(() => readEnvironment(name, Variables)).not.toThrow();
    expect(Object.keys(Variables).sort()).toEqual(Object.keys(functionEnvironment[name].shape).sort());
  });

  it('logs to a group that forgets', () => {
    const { LogGroup } = stack.function(name).Properties.LoggingConfig;
    expect(stack.resources[LogGroup]).toMatchObject({
      Type: 'AWS::Logs::LogGroup',
      Properties: { RetentionInDays: 30 },
    });
  });

  it('has a role of its own', () => {
    const roles = functionNames.map((each) => stack.function(each).Properties.Role);
    expect(roles.filter((role) => role === stack.function(name).Properties.Role)).toHaveLength(1);
  });
});

describe('the HTTP API', () => {
  const routes = () => Object.values(stack.ofType('AWS::ApiGatewayV2::Route'));

  it('has a route for each of its functions, all of which IAM decides about', () => {
    expect(new Set(routes().map(({ Properties }) => Properties.RouteKey))).toEqual(
      new Set(apiFunctions.map((name) => `${apiRoutes[name].method} ${apiRoutes[name].path}`)),
    );
    for (const { Properties } of routes()) expect(Properties.AuthorizationType).toBe('AWS_IAM');
  });

  it('hands each request to the function of its route, as the edge reads it', () => {
    const integrations = Object.values(stack.ofType('AWS::ApiGatewayV2::Integration'));
    expect(integrations).toHaveLength(apiFunctions.length);
    for (const { Properties } of integrations) {
      expect(Properties).toMatchObject({ IntegrationType: 'AWS_PROXY', PayloadFormatVersion: '2.0' });
    }
  });

  it('is for no browser, throttled, and keeps a line of each request', () => {
    expect(stack.only('AWS::ApiGatewayV2::Api').Properties.CorsConfiguration).toBeUndefined();
    const { StageName, AutoDeploy, DefaultRouteSettings, AccessLogSettings } =
      stack.only('AWS::ApiGatewayV2::Stage').Properties;
    expect({ StageName, AutoDeploy }).toEqual({ StageName: '$default', AutoDeploy: true });
    expect(DefaultRouteSettings).toEqual({ ThrottlingRateLimit: 50, ThrottlingBurstLimit: 100 });
    expect(JSON.parse(AccessLogSettings.Format)).toMatchObject({ caller: '$context.identity.userArn' });
  });
});

describe('the worker’s network', () => {
  it('lets nothing in, and out only to web servers', () => {
    const { SecurityGroupIngress, SecurityGroupEgress } = stack.only('AWS::EC2::SecurityGroup').Properties;
    expect(SecurityGroupIngress).toEqual([]);
    expect(stack.ofType('AWS::EC2::SecurityGroupIngress')).toEqual({});
    expect(stack.ofType('AWS::EC2::SecurityGroupEgress')).toEqual({});
    const web = (port: number) => ({ IpProtocol: 'tcp', FromPort: port, ToPort: port, CidrIp: '0.0.0.0/0' });
    expect(SecurityGroupEgress).toMatchObject([web(443), web(80)]);
    expect(SecurityGroupEgress).toHaveLength(2);
  });

  it('costs nothing while no worker runs', () => {
    const billed = Object.values(stack.resources)
      .map(({ Type }) => Type)
      .filter((type) => /NatGateway|::EIP|VPCEndpoint|FlowLog|::Instance|KMS|SecretsManager/.test(type));
    expect(billed).toEqual([]);
  });

  it('reaches the mirror from every subnet', () => {
    const subnets = Object.entries(stack.ofType('AWS::EC2::Subnet'));
    expect(subnets).toHaveLength(2);
    for (const [, { Properties }] of subnets) expect(Properties.MapPublicIpOnLaunch).toBe(true);
    expect(Object.values(stack.ofType('AWS::EC2::Route')).map(({ Properties }) => Properties)).toEqual(
      subnets.map(() =>
        expect.objectContaining({ DestinationCidrBlock: '0.0.0.0/0', GatewayId: expect.any(String) }),
      ),
    );
    const { SUBNET_IDS } = stack.function('launch').Properties.Environment.Variables;
    expect(SUBNET_IDS).toBe(subnets.map(([id]) => `subnet-${id}`).join(','));
  });

  it('leaves the VPC’s default security group without rules', () =>
    expect(stack.only('Custom::VpcRestrictDefaultSG').Properties.DefaultSecurityGroupId).toMatch(
      /^Vpc\w+\.DefaultSecurityGroup$/,
    ));

  it('has the zones that the deployment names', () => {
    const named = synthesize({ zones: 'eu-west-1a,eu-west-1b,eu-west-1c' });
    const zones = Object.values(named.ofType('AWS::EC2::Subnet')).map(
      ({ Properties }) => Properties.AvailabilityZone,
    );
    expect(zones).toEqual(['eu-west-1a', 'eu-west-1b', 'eu-west-1c']);
  });

  it('can be one that exists, without a look-up', () => {
    const existing = synthesize({ vpcId: 'vpc-0a0a0a0a', subnetIds: 'subnet-0b0b0b0b,subnet-0c0c0c0c' });
    expect(
      Object.values(existing.resources).filter(({ Type }) => /^AWS::EC2::.*(VPC|Subnet|Route)/.test(Type)),
    ).toEqual([]);
    expect(existing.only('AWS::EC2::SecurityGroup').Properties.VpcId).toBe('vpc-0a0a0a0a');
    expect(existing.function('launch').Properties.Environment.Variables.SUBNET_IDS).toBe(
      'subnet-0b0b0b0b,subnet-0c0c0c0c',
    );
    const launched = existing
      .statements('launch')
      .filter(({ Action }) => Action.includes('ec2:RunInstances'))
      .flatMap(({ Resource }) => Resource.filter((resource) => resource.includes(':subnet/')));
    expect(launched).toEqual(
      ['subnet-0b0b0b0b', 'subnet-0c0c0c0c'].map((id) => `arn:aws:ec2:eu-west-1:111122223333:subnet/${id}`),
    );
  });
});

describe('the artifacts bucket', () => {
  it('is private, encrypted and emptied', () =>
    expect(stack.only('AWS::S3::Bucket').Properties).toEqual({
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
      },
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      LifecycleConfiguration: {
        Rules: [
          { Id: 'builds', Prefix: 'builds/', Status: 'Enabled', ExpirationInDays: 30 },
          { Id: 'matrices', Prefix: 'matrices/', Status: 'Enabled', ExpirationInDays: 90 },
          { Id: 'pieces', Prefix: 'pieces/', Status: 'Enabled', ExpirationInDays: 2 },
          { Id: 'started', Prefix: 'started/', Status: 'Enabled', ExpirationInDays: 400 },
          {
            Id: 'uploads',
            Status: 'Enabled',
            AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
          },
        ],
      },
    }));

  it('refuses requests without TLS', () => {
    const { Bucket: bucket, PolicyDocument } = stack.only('AWS::S3::BucketPolicy').Properties;
    const [id] = Object.keys(stack.ofType('AWS::S3::Bucket'));
    expect(bucket).toBe(id?.toLowerCase());
    expect(PolicyDocument.Statement).toEqual([
      {
        Effect: 'Deny',
        Principal: { AWS: '*' },
        Action: 's3:*',
        Resource: [`arn:of:${id}`, `arn:of:${id}/*`],
        Condition: { Bool: { 'aws:SecureTransport': 'false' } },
      },
    ]);
  });
});

it('the worker’s payload is the file of the build, under its SHA-256', () => {
  const { PAYLOAD_BUCKET, PAYLOAD_KEY, PAYLOAD_SHA256 } =
    stack.function('launch').Properties.Environment.Variables;
  const uploaded = readFileSync(stack.asset(PAYLOAD_KEY));
  expect(uploaded.equals(readFileSync(join(root, 'dist/worker-payload.tar.gz')))).toBe(true);
  expect(PAYLOAD_SHA256).toBe(createHash('sha256').update(uploaded).digest('hex'));
  expect(PAYLOAD_BUCKET).toBe('cdk-hnb659fds-assets-111122223333-eu-west-1');
});

describe('settings', () => {
  const read = (context: Record<string, unknown>) => () => readSettings((key) => context[key]);

  it('are all optional', () =>
    expect(read({})()).toEqual({
      workerImageParameter: '/aws/service/freebsd/{architecture}/small/ufs/15.1/RELEASE',
      windowsImageParameter: '/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-Base',
      parameterPrefix: '/ami-foundry/',
      resumableHours: 24,
      notify: {
        on: [
          'Build Succeeded',
          'Build Failed',
          'Build Aborted',
          'Image Published',
          'Image Quarantined',
          'Image Restored',
          'Image Retired',
          'Release Seen',
        ],
        topic: false,
      },
      reaperDryRun: false,
      quarantineDays: 14,
      retentionDryRun: false,
      alarms: false,
      dashboard: false,
      watchedMirrors: ['https://download.freebsd.org'],
    }));
  it('all stand in infra/README.md', () => {
    const page = readFileSync(join(root, 'infra/README.md'), 'utf8');
    expect(settingNames.filter((name) => !new RegExp(`^\\|.*\`${name}\`.*\\|`, 'm').test(page))).toEqual([]);
  });
  it('are refused all at once', () =>
    expect(read({ vpcId: 'mine', workerImageOwner: 12, zones: 'a' })).toThrow(
      /not right:\n- workerImageOwner is 12, .*\n- vpcId is "mine", .*\n- zones is "a", .*$/,
    ));
  it.each([
    [{ vpcId: 'vpc-0a0a0a0a' }, /vpcId and subnetIds go together/],
    [{ subnetIds: 'subnet-0b0b0b0b' }, /vpcId and subnetIds go together/],
    [
      { vpcId: 'vpc-0a0a0a0a', subnetIds: 'subnet-0b0b0b0b;subnet-0c0c0c0c' },
      /subnetIds is "subnet-0b0b0b0b;subnet-0c0c0c0c"/,
    ],
    [
      { vpcId: 'vpc-0a0a0a0a', subnetIds: 'subnet-0b0b0b0b', zones: 'eu-west-1a,eu-west-1b' },
      /zones is for the network/,
    ],
    [{ workerImageParameter: 'no-slash' }, /workerImageParameter is "no-slash"/],
    [{ windowsImageParameter: 'Windows' }, /windowsImageParameter is "Windows"/],
    [{ quarantineDays: 'a week' }, /quarantineDays is "a week"/],
    [{ reaperDryRun: 'maybe' }, /reaperDryRun is "maybe"/],
    [{ watchedMirrors: 'download.freebsd.org' }, /watchedMirrors is "download.freebsd.org"/],
    [{ watchedMirrors: 'https://a.example/' }, /watchedMirrors is/],
    [{ distributionRegions: 'europe' }, /distributionRegions is "europe"/],
    [{ kmsKeys: 'alias/images' }, /kmsKeys is "alias\/images"/],
    [{ publishedTopic: 'yes' }, /publishedTopic is called notifyTopic now/],
    [{ notifyOn: 'build-failed,everything' }, /notifyOn is "build-failed,everything"/],
    [{ notifyEmail: 'a@example.org' }, /notifyEmail and notifySender go together/],
    [{ notifyRelay: 'relay.example.org:25' }, /notifyRelay is for mail/],
    [{ notifyRelaySecret: '/relay', notifyRelayTls: 'none' }, /would cross the network as it is/],
    [{ notifyWebhook: 'http://example.org/', notifyWebhookSecret: '/hook' }, /notifyWebhook is "http:/],
    [{ notifyWebhook: 'https://example.org/' }, /notifyWebhook and notifyWebhookSecret go together/],
    [{ parameterPrefix: '/company' }, /parameterPrefix is "\/company"/],
    [{ alarms: 'yes', alarmTopic: 'operators' }, /alarmTopic is "operators"/],
    [{ alarmEmail: 'ops@example.com' }, /alarmTopic and alarmEmail are told of alarms/],
  ])('%j is refused', (context, reason) => expect(read(context)).toThrow(reason));
});
