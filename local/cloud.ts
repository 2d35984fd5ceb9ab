import { resolve } from 'node:path';
import { HttpApi } from './api/http-api.ts';
import { type Clock, rejectOnAbort, systemClock } from './clock.ts';
import { Consistency } from './ec2/consistency.ts';
import { Disks } from './ec2/disks.ts';
import { DEFAULT_DELAYS, type Delays, type RegionSettings } from './ec2/region.ts';
import { findWorkerImage } from './ec2/worker-image.ts';
import { EventBus } from './event-bus.ts';
import { Events } from './events.ts';
import { Faults } from './faults.ts';
import { type AwsJsonService, answerAwsJson } from './front/aws-json.ts';
import { Front, LOCAL_CREDENTIALS, type Service } from './front/front.ts';
import { unsupported } from './front/service-error.ts';
import { sts } from './front/sts.ts';
import { guard } from './iam/guard.ts';
import { Iam, REFUSALS } from './iam/iam.ts';
import { InstanceHost } from './instance-host/host.ts';
import { HOST_ADDRESS } from './instance-host/machine.ts';
import { type StubBehaviour, StubHost } from './instance-host/stub.ts';
import { answerLambda } from './lambda/rest.ts';
import { LambdaRuntime } from './lambda/runtime.ts';
import { Regions } from './regions.ts';
import { Ses } from './ses/server.ts';
import { lockDirectory } from './state-directory.ts';
import { createStates, type States } from './states/service.ts';
import { Storage } from './storage/fauxqs.ts';
import { checkS3Request, isLargePut } from './storage/s3-limits.ts';

export interface CloudOptions {
  /** Everything the cloud keeps lives here: disks, consoles, logs, records. */
  stateDirectory: string;
  /** TCP port on 127.0.0.1; 0, the default, takes a free one. */
  port?: number;
  /** Where the factory itself lives; EC2 and SSM answer in every region. */
  region?: string;
  /** Regions that the account has enabled besides those that every account has. */
  optInRegions?: readonly string[];
  accountId?: string;
  /**
   * Real length of a second of Wait states and schedules; 0.02 by default, so a 15 s pause lasts 0.3 s. With a worker image 1:
   * an emulated FreeBSD takes hours, and an execution has room for 25,000 events, nine for each look at it.
   */
  timeScale?: number;
  /** Delays of EC2's state changes, milliseconds. */
  delays?: Partial<Delays>;
  /** Token buckets as AWS publishes them; on by default. */
  throttle?: boolean;
  vcpuQuota?: number;
  /** Instances have no body: they only say what workers and machines under test say. For tests that need hundreds. */
  stub?: StubBehaviour;
  publicImageQuota?: number;
  createImageBilling?: RegionSettings['createImageBilling'];
  /** A FreeBSD disk (qcow2 or raw, also with .xz) that workers boot in QEMU; without it they are processes of this machine. */
  workerImage?: string | undefined;
  /** Whether a function goes on when the execution that called it is stopped, as on AWS; by default it ends with it. */
  functionsOutliveExecutions?: boolean;
  clock?: Clock;
  log?: (line: string) => void;
}

export interface Cloud {
  readonly endpoint: string;
  readonly region: string;
  readonly accountId: string;
  /** Keys for clients; presigned URLs made with them are verified. */
  readonly credentials: typeof LOCAL_CREDENTIALS;
  readonly stateDirectory: string;
  readonly lambda: LambdaRuntime;
  readonly instanceHost: InstanceHost;
  readonly states: States;
  /** API Gateway's HTTP API, at the root of the endpoint. */
  readonly api: HttpApi;
  /** Invokes functions when executions end, and by schedule. */
  readonly events: Events;
  /** Breaks calls on purpose and remembers all of them. */
  readonly faults: Faults;
  /** Roles, their keys and policies, and what was asked about them. */
  readonly iam: Iam;
  /** Mails that were sent, and who may send. */
  readonly ses: Ses;
  /** Makes new things of EC2 slow to be seen. */
  readonly consistency: Consistency;
  /** Names of the EC2 actions that are emulated. */
  readonly ec2Actions: readonly string[];
  /** What workers are: this machine's processes, or machines that boot the worker image. */
  readonly workers: 'processes' | 'machines';
  stop(): Promise<void>;
}

/** fauxqs knows no other account, so ARNs of topics and queues only agree with this one. */
const ACCOUNT_ID = '000000000000';
const REGION = 'us-east-1';
const TIME_SCALE = 0.02;
const TIME_SCALE_OF_MACHINES = 1;
/** Quota L-1216C47A is 5 in a new account and commonly raised; 64 lets a matrix of builds run. */
const VCPU_QUOTA = 64;
/** Quota L-0E3CBAB9 as a new account has it. */
const PUBLIC_IMAGE_QUOTA = 5;

/** Starts the local cloud, or continues the one that lived in `stateDirectory`. */
export async function startCloud(options: CloudOptions): Promise<Cloud> {
  const {
    port = 0,
    region = REGION,
    accountId = ACCOUNT_ID,
    workerImage,
    timeScale = workerImage === undefined ? TIME_SCALE : TIME_SCALE_OF_MACHINES,
    clock = systemClock,
    log = (line: string) => console.error(line),
  } = options;
  // Links and environments of instances hold paths below it.
  const stateDirectory = resolve(options.stateDirectory);
  const unlock = await lockDirectory(stateDirectory);
  const closers: (() => Promise<void> | void)[] = [unlock];
  const stop = async () => {
    // Last opened, first closed. One that fails must not keep the others open.
    const failures: unknown[] = [];
    for (const close of closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'The local cloud did not stop cleanly');
  };

  try {
    const disks = new Disks(stateDirectory);
    await disks.open();
    const parts = { stateDirectory, clock };
    const instanceHost = options.stub ? new StubHost(parts, options.stub) : new InstanceHost(parts);
    await instanceHost.open();
    const consistency = new Consistency();
    const regions = new Regions({
      stateDirectory,
      home: region,
      optedIn: options.optInRegions ?? [],
      settings: {
        accountId,
        delays: { ...DEFAULT_DELAYS, ...options.delays },
        vcpuQuota: options.vcpuQuota ?? VCPU_QUOTA,
        createImageBilling: options.createImageBilling ?? 'instance',
        publicImageQuota: options.publicImageQuota ?? PUBLIC_IMAGE_QUOTA,
      },
      throttle: options.throttle !== false,
      workerImage: workerImage === undefined ? undefined : await findWorkerImage(workerImage),
      clock,
      disks,
      host: instanceHost,
      consistency,
      log,
    });
    const { ec2 } = await regions.start();

    let endpoint = '';
    const iam = new Iam({ accountId, now: () => clock.now() });
    const lambda = new LambdaRuntime({
      stateDirectory,
      clock,
      region,
      accountId,
      endpoint: () => endpoint,
      credentialsOf: (role) => iam.credentialsOf(role),
      hostAddress: workerImage === undefined ? undefined : HOST_ADDRESS,
    });
    const storage = new Storage({ stateDirectory, region });
    const ses = new Ses();
    const bus = new EventBus({ clock, region, accountId });
    const states: States = createStates({
      putEvents: (entries, roleArn) => {
        iam.authorize(roleArn.split('/').at(-1), REFUSALS.json, () =>
          entries.map(({ Source = '', DetailType = '' }) => ({
            action: 'events:PutEvents',
            resource: bus.arn,
            context: { 'events:source': Source, 'events:detail-type': DetailType },
          })),
        );
        return bus.put(entries);
      },
      stateDirectory,
      clock,
      invoke: async (target, payload, signal, roleArn) => {
        iam.authorize(roleArn.split('/').at(-1), REFUSALS.lambda, () => [
          { action: 'lambda:InvokeFunction', resource: lambda.get(target).arn, context: {} },
        ]);
        return options.functionsOutliveExecutions
          ? await Promise.race([lambda.invoke(target, payload), rejectOnAbort(signal)])
          : await lambda.invoke(target, payload, signal);
      },
      readObject: async (bucket, key, roleArn) => {
        iam.authorize(roleArn.split('/').at(-1), REFUSALS.s3, () => [
          { action: 's3:GetObject', resource: `arn:aws:s3:::${bucket}/${key}`, context: {} },
        ]);
        return await storage.read(bucket, key);
      },
      authorize: (roleArn, action, resource) =>
        iam.authorize(roleArn.split('/').at(-1), REFUSALS.json, () => [{ action, resource, context: {} }]),
      region,
      accountId,
      timeScale,
      log: (message, details) => log(`states: ${message}${details ? ` ${JSON.stringify(details)}` : ''}`),
    });
    const events = new Events({
      bus,
      publish: (topicArn, message) => storage.publish(topicArn, message),
      states,
      clock,
      timeScale,
      invoke: (target, input) => lambda.invoke(target, input),
      log,
    });
    /** A service that this cloud has in its own region only. */
    const home =
      (service: Service): Service =>
      (request, response, url, scope) => {
        if (scope.region !== region) {
          throw unsupported(`${scope.service} in ${scope.region} (this cloud has it in ${region} only)`);
        }
        return service(request, response, url, scope);
      };
    const json =
      (service: AwsJsonService): Service =>
      (request, response) =>
        answerAwsJson(request, response, service, log);
    const stored = home((request, response) => storage.answer(request, response));
    const faults = new Faults(clock, (token) => lambda.invocationOf(token));
    const api = new HttpApi({
      lambda,
      iam,
      secretOf: (key) =>
        key === LOCAL_CREDENTIALS.accessKeyId
          ? LOCAL_CREDENTIALS.secretAccessKey
          : iam.keys(key)?.secretAccessKey,
      accountId,
      region,
      clock,
      log,
    });
    const front = new Front({
      api,
      services: {
        ec2: async (request, response, url, scope) => {
          const { ec2 } = await regions.of(scope.region);
          await ec2.answer(request, response, url, scope);
        },
        ebs: async (request, response, url, scope) => {
          const { ebs } = await regions.of(scope.region);
          await ebs.answer(request, response, url);
        },
        autoscaling: async (request, response, url, scope) => {
          const { autoScaling } = await regions.of(scope.region);
          await autoScaling.answer(request, response, url, scope.accessKey);
        },
        events: home(json(bus)),
        'execute-api': (request, response, url, scope) => api.answer(request, response, url, scope),
        kms: async (request, response, url, scope) => {
          const { keys } = await regions.of(scope.region);
          await json(keys)(request, response, url, scope);
        },
        lambda: home((request, response, url) => answerLambda(request, response, url, lambda, log)),
        s3: home((request, response, url) => {
          checkS3Request(request, url);
          if (isLargePut(request, url)) return storage.putLarge(request, response, url);
          return storage.answer(request, response);
        }),
        servicequotas: async (request, response, url, scope) => {
          const { quotas } = await regions.of(scope.region);
          await json(quotas)(request, response, url, scope);
        },
        ses: home((request, response, url) => ses.answer(request, response, url)),
        sns: stored,
        sqs: stored,
        ssm: async (request, response, url, scope) => {
          const { parameters } = await regions.of(scope.region);
          await json(parameters)(request, response, url, scope);
        },
        states: home(json(states)),
        sts: sts(accountId, (accessKey) => iam.arnOf(accessKey)),
      },
      faults,
      keys: (accessKey) => iam.keys(accessKey),
      authorize: guard({
        iam,
        accountId,
        apiId: api.apiId,
        records: async (name) => (await regions.of(name)).region,
        hasObject: (path) => storage.has(path),
      }),
      clock,
      log,
    });
    // Closed in the opposite order: no new events, no new requests, no new tasks, then what they used.
    closers.push(
      () => storage.close(),
      () => instanceHost.close(),
      () => regions.close(),
      () => lambda.close(),
      () => states.close(),
      () => front.close(),
      () => events.close(),
    );
    endpoint = `http://127.0.0.1:${await front.listen(port)}`;
    return {
      endpoint,
      region,
      accountId,
      credentials: LOCAL_CREDENTIALS,
      stateDirectory,
      lambda,
      instanceHost,
      states,
      api,
      events,
      faults,
      iam,
      ses,
      consistency,
      ec2Actions: ec2.actionNames,
      workers: workerImage === undefined ? 'processes' : 'machines',
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
