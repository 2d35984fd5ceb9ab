import { join, resolve } from 'node:path';
import { type Clock, systemClock } from './clock.ts';
import { Disks } from './ec2/disks.ts';
import { Faults } from './ec2/faults.ts';
import { recover } from './ec2/lifecycle.ts';
import type { PersistedState } from './ec2/model.ts';
import { DEFAULT_DELAYS, type Delays, Region } from './ec2/region.ts';
import { seedWorkerImages } from './ec2/seed.ts';
import { Ec2Server } from './ec2/server.ts';
import { Throttle } from './ec2/throttle.ts';
import { Events } from './events.ts';
import { type AwsJsonService, answerAwsJson } from './front/aws-json.ts';
import { Front, LOCAL_CREDENTIALS, type Service } from './front/front.ts';
import { sts } from './front/sts.ts';
import { InstanceHost } from './instance-host/host.ts';
import { answerLambda } from './lambda/rest.ts';
import { LambdaRuntime } from './lambda/runtime.ts';
import { Parameters } from './ssm/parameters.ts';
import { JsonFile, lockDirectory } from './state-directory.ts';
import { createStates, type States } from './states/service.ts';
import { Storage } from './storage/fauxqs.ts';
import { checkS3Request } from './storage/s3-limits.ts';

export interface CloudOptions {
  /** Everything the cloud keeps lives here: disks, consoles, logs, records. */
  stateDirectory: string;
  /** TCP port on 127.0.0.1; 0, the default, takes a free one. */
  port?: number;
  region?: string;
  accountId?: string;
  /** Real length of a second of Wait states and schedules; 0.02 by default, so a 15 s pause lasts 0.3 s. */
  timeScale?: number;
  /** Delays of EC2's state changes, milliseconds. */
  delays?: Partial<Delays>;
  /** Token buckets as AWS publishes them; on by default. */
  throttle?: boolean;
  vcpuQuota?: number;
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
  /** Invokes functions when executions end, and by schedule. */
  readonly events: Events;
  /** Breaks EC2 calls on purpose and remembers all of them. */
  readonly faults: Faults;
  /** Names of the EC2 actions that are emulated. */
  readonly ec2Actions: readonly string[];
  stop(): Promise<void>;
}

/** fauxqs knows no other account, so ARNs of topics and queues only agree with this one. */
const ACCOUNT_ID = '000000000000';
const REGION = 'us-east-1';
const TIME_SCALE = 0.02;
/** Quota L-1216C47A is 5 in a new account and commonly raised; 64 lets a matrix of builds run. */
const VCPU_QUOTA = 64;

/** Starts the local cloud, or continues the one that lived in `stateDirectory`. */
export async function startCloud(options: CloudOptions): Promise<Cloud> {
  const {
    port = 0,
    region = REGION,
    accountId = ACCOUNT_ID,
    timeScale = TIME_SCALE,
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
    const instanceHost = new InstanceHost({ stateDirectory, clock });
    await instanceHost.open();
    const path = join(stateDirectory, 'ec2.json');
    const ec2Region = new Region({
      settings: {
        region,
        accountId,
        delays: { ...DEFAULT_DELAYS, ...options.delays },
        vcpuQuota: options.vcpuQuota ?? VCPU_QUOTA,
      },
      clock,
      disks,
      host: instanceHost,
      path,
      saved: await readState(path),
      log,
    });
    await recover(ec2Region);
    const publicParameters = seedWorkerImages(ec2Region);
    await ec2Region.save();

    let endpoint = '';
    const lambda = new LambdaRuntime({ stateDirectory, clock, region, accountId, endpoint: () => endpoint });
    const storage = new Storage({ stateDirectory, region });
    const states: States = createStates({
      stateDirectory,
      clock,
      invoke: (target, payload, signal) => lambda.invoke(target, payload, signal),
      region,
      accountId,
      timeScale,
      log: (message, details) => log(`states: ${message}${details ? ` ${JSON.stringify(details)}` : ''}`),
    });
    const events = new Events({
      states,
      clock,
      timeScale,
      invoke: (target, input) => lambda.invoke(target, input),
      log,
    });
    const parameters = await Parameters.open({
      path: join(stateDirectory, 'ssm.json'),
      publicParameters,
      clock,
      region,
      accountId,
    });
    const faults = new Faults(clock);
    const throttle = options.throttle === false ? undefined : new Throttle(clock);
    const ec2 = new Ec2Server({ region: ec2Region, throttle, faults });

    const json =
      (service: AwsJsonService): Service =>
      (request, response) =>
        answerAwsJson(request, response, service, log);
    const stored: Service = (request, response) => storage.answer(request, response);
    const front = new Front({
      services: {
        ec2: (request, response, url, scope) => ec2.answer(request, response, url, scope),
        lambda: (request, response, url) => answerLambda(request, response, url, lambda, log),
        s3: (request, response, url) => {
          checkS3Request(request, url);
          return storage.answer(request, response);
        },
        sns: stored,
        sqs: stored,
        ssm: json(parameters),
        states: json(states),
        sts: sts(accountId),
      },
      clock,
      region,
      log,
    });
    // Closed in the opposite order: no new events, no new requests, no new tasks, then what they used.
    closers.push(
      () => storage.close(),
      () => instanceHost.close(),
      () => ec2Region.close(),
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
      events,
      faults,
      ec2Actions: ec2.actionNames,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function readState(path: string): Promise<PersistedState | undefined> {
  const saved = await JsonFile.read<PersistedState>(path);
  if (saved !== undefined && saved.version !== 1) {
    throw new Error(
      `${path} was written by another version of the local cloud (${String(saved.version)}): choose another --state directory.`,
    );
  }
  return saved;
}
