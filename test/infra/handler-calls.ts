import { readFileSync } from 'node:fs';
import { EC2Client } from '@aws-sdk/client-ec2';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SSMClient } from '@aws-sdk/client-ssm';
import type { HandlerExecutionContext } from '@smithy/types';
import { vi } from 'vitest';
import { s3Artifacts, s3Sources } from '../../adapters/aws/artifacts.ts';
import { sfnExecutions } from '../../adapters/aws/executions.ts';
import { ec2Images } from '../../adapters/aws/images.ts';
import { ec2Instances } from '../../adapters/aws/instances.ts';
import { ec2Network } from '../../adapters/aws/network.ts';
import { ssmParameters } from '../../adapters/aws/parameters.ts';
import { ec2Snapshots } from '../../adapters/aws/snapshots.ts';
import { ec2Volumes } from '../../adapters/aws/volumes.ts';
import { eventFunctions, type FunctionName } from '../../core/function-environment.ts';
import { buildTags, tagKey } from '../../core/names.ts';
import type {
  Artifacts,
  Executions,
  Images,
  Instances,
  Network,
  Snapshots,
  Sources,
  Parameters as Ssm,
  Volumes,
} from '../../core/ports.ts';

/** A request to a service: the operation and what was sent. */
export interface Call {
  readonly service: 'ec2' | 'ssm' | 's3' | 'states';
  readonly operation: string;
  // biome-ignore lint/suspicious/noExplicitAny: inputs of two dozen operations.
  readonly input: any;
}

/** What a call is made with: ids that the deployment gave, and of a build called demo. */
export interface Setting {
  readonly subnetId: string;
  readonly securityGroupId: string;
  readonly instanceType: string;
  readonly windowsInstanceType: string;
  readonly parameter: string;
  readonly stateMachineArn: string;
  /** The key of a tag that an existing image gets; that of a boot test when absent. */
  readonly tag?: string;
}

type Samples<Port> = {
  // biome-ignore lint/suspicious/noExplicitAny: any method.
  [Method in keyof Port]: Port[Method] extends (...args: infer Args) => any ? Args : never;
};

const image = 'ami-0123456789abcdef0';
const instance = 'i-0123456789abcdef0';
const snapshot = 'snap-0123456789abcdef0';
const volume = 'vol-0123456789abcdef0';

/** Arguments for each method of each adapter; a method without them is a type error. */
const samples = ({ subnetId, securityGroupId, instanceType, windowsInstanceType, parameter, tag }: Setting) =>
  ({
    ec2Images: {
      register: [
        {
          name: 'demo',
          description: 'demo',
          architecture: 'arm64',
          bootMode: 'uefi',
          imdsV2Only: true,
          tpm: false,
          rootDeviceName: '/dev/sda1',
          snapshotId: snapshot,
          rootSizeGiB: 10,
          tags: { ...buildTags('demo', 'image'), team: 'of the recipe' },
        },
      ],
      createFromInstance: [
        {
          instanceId: instance,
          name: 'demo',
          description: 'demo',
          tags: { ...buildTags('demo', 'image'), team: 'of the recipe' },
          snapshotTags: { ...buildTags('demo', 'snapshot'), team: 'of the recipe' },
        },
      ],
      requireImdsV2: [image],
      describe: [image],
      findByName: ['demo'],
      findByBuild: ['demo'],
      findOfAnyBuild: [],
      launchable: [image],
      tag: [image, tag ?? tagKey.bootTested, 'now'],
      deregister: [image],
    } satisfies Samples<Images>,
    ec2Instances: {
      runWorker: [
        {
          clientToken: 'token',
          imageId: image,
          instanceType,
          subnetId,
          securityGroupId,
          userData: '#!/bin/sh\n',
          tags: buildTags('demo', 'worker'),
        },
      ],
      runBootTest: [
        {
          clientToken: 'token',
          imageId: image,
          instanceType,
          subnetId,
          securityGroupId,
          tags: buildTags('demo', 'boot-test'),
        },
      ],
      runWindows: [
        {
          clientToken: 'token',
          imageId: image,
          instanceType: windowsInstanceType,
          subnetId,
          securityGroupId,
          tags: buildTags('demo', 'windows'),
        },
      ],
      stop: [instance],
      deleteOnTermination: [instance, '/dev/sda1'],
      describe: [instance],
      findByBuild: ['demo'],
      findOfAnyBuild: [],
      console: [instance],
      screenshot: [instance],
      terminate: [[instance]],
    } satisfies Samples<Instances>,
    ec2Network: { subnets: [[subnetId]] } satisfies Samples<Network>,
    ec2Snapshots: {
      create: [volume, 'demo', { ...buildTags('demo', 'snapshot'), team: 'of the recipe' }],
      describe: [snapshot],
      findByBuild: ['demo'],
      findOfAnyBuild: [],
      delete: [snapshot],
    } satisfies Samples<Snapshots>,
    ec2Volumes: {
      create: [
        {
          clientToken: 'token',
          zone: 'eu-west-1a',
          sizeGiB: 10,
          tags: buildTags('demo', 'target'),
        },
      ],
      describe: [volume],
      findByBuild: ['demo'],
      findOfAnyBuild: [],
      attach: [volume, instance, '/dev/sdf'],
      detach: [volume],
      delete: [volume],
    } satisfies Samples<Volumes>,
    sfnExecutions: { describe: ['demo'], anyOutputSince: [0, () => false] } satisfies Samples<Executions>,
    ssmParameters: { get: [parameter] } satisfies Samples<Ssm>,
    s3Artifacts: {
      put: ['builds/demo/object', 'text', 'text/plain'],
      presign: ['builds/demo/object', 60],
      presignPut: ['builds/demo/object', 60],
      copy: ['builds/demo/object', 'images/demo/object'],
    } satisfies Samples<Artifacts>,
    s3Sources: { presign: ['s3://company/object', 60] } satisfies Samples<Sources>,
  }) as const;

type Factory = keyof ReturnType<typeof samples>;

const root = new URL('../../', import.meta.url);
const source = (path: string) => readFileSync(new URL(path, root), 'utf8');

/** The top-level declarations of some sources. Biome puts a blank line before each, and indents what is inside. */
const declarations = (texts: readonly string[]): string[] =>
  texts.flatMap((text) => text.split(/\n\n(?=\S)/));

/**
 * The methods that are called on whatever is called `name` in the scope; where it is handed to a function of `all`, those that this
 * one calls on its parameter, too.
 */
function methodsCalled(name: string, scope: readonly string[], all: readonly string[]): string[] {
  const called = scope.flatMap((text) =>
    [...text.matchAll(new RegExp(`\\b${name}\\s*\\.\\s*(\\w+)\\(`, 'g'))].map(([, method = '']) => method),
  );
  const handed = scope.flatMap((text) =>
    [...text.matchAll(/\b(\w+)\(([^()]*)\)/g)].flatMap(([, callee = '', list = '']) => {
      const position = list.split(',').findIndex((argument) => argument.trim() === name);
      const body = all.find((each) => new RegExp(`^(async )?function ${callee}\\b`, 'm').test(each));
      if (position < 0 || body === undefined) return [];
      const parameters = [...body.matchAll(/^ {2}(\w+):/gm)].map(([, parameter = '']) => parameter);
      const inLine = /^(?:async )?function \w+\((.*?)\)/m.exec(body)?.[1]?.split(',') ?? [];
      const parameter = (inLine[position]?.split(':')[0] ?? parameters[position] ?? '').trim();
      if (parameter === '') throw new Error(`cannot read the parameters of ${callee}`);
      return parameter === name ? [] : methodsCalled(parameter, [body], all);
    }),
  );
  return [...new Set([...called, ...handed])];
}

/**
 * What a function asks of its adapters, read from its sources: the wiring in its .lambda.ts says which adapter stands under which
 * name, the step and the files of core/ in its bundle (dist/metafile.json) say which methods are called under that name.
 */
export function methodsOf(name: FunctionName): { factory: Factory; method: string }[] {
  const folder = eventFunctions.some((each) => each === name) ? 'events' : 'steps';
  const lambda = source(`functions/${folder}/${name}.lambda.ts`);
  const wiring = [...lambda.matchAll(/\b(\w+): ((?:ec2|sfn|ssm|s3)[A-Z]\w+)\(/g)].map(
    ([, port = '', factory = '']) => ({ port, factory: factory as Factory }),
  );
  const { outputs } = JSON.parse(source('dist/metafile.json'));
  const inputs: string[] = Object.keys(outputs[`dist/functions/${name}/index.mjs`].inputs);
  const all = declarations(
    inputs.filter((path) => /^(core\/|functions\/(steps|events)\/(?!.*\.lambda))/.test(path)).map(source),
  );
  return wiring.flatMap(({ port, factory }) => {
    const methods = methodsCalled(port, all, all);
    if (methods.length === 0) throw new Error(`${name} is given ${port} and calls nothing of it`);
    return methods.map((method) => ({ factory, method }));
  });
}

/** The requests that one method of an adapter makes: it is run against clients that answer next to nothing. */
export async function callsOf(factory: Factory, method: string, setting: Setting): Promise<Call[]> {
  const calls: Call[] = [];
  const client = { region: 'eu-west-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };
  const ec2 = new EC2Client(client);
  const sfn = new SFNClient(client);
  const ssm = new SSMClient(client);
  // What an adapter must read before it asks on.
  const answers: Record<string, object> = {
    ListExecutionsCommand: {
      executions: [{ executionArn: `${setting.stateMachineArn.replace(':stateMachine:', ':execution:')}:x` }],
    },
  };
  const record =
    (service: Call['service']) =>
    (_next: unknown, { commandName }: HandlerExecutionContext) =>
    async ({ input }: { input: unknown }) => {
      calls.push({ service, operation: String(commandName).replace(/Command$/, ''), input });
      return { output: { $metadata: {}, ...answers[String(commandName)] } as never, response: {} };
    };
  ec2.middlewareStack.add(record('ec2'), { step: 'initialize', priority: 'high' });
  sfn.middlewareStack.add(record('states'), { step: 'initialize', priority: 'high' });
  ssm.middlewareStack.add(record('ssm'), { step: 'initialize', priority: 'high' });
  vi.stubGlobal('fetch', async (request: Request) => {
    // S3 API Reference, CopyObject: the right to read the source is needed too.
    if (request.headers.has('x-amz-copy-source'))
      calls.push({ service: 's3', operation: 'GetObject', input: {} });
    calls.push({
      service: 's3',
      operation: `${request.method === 'PUT' ? 'Put' : request.method}Object`,
      input: {},
    });
    return new Response('');
  });
  const adapters = {
    ec2Images: ec2Images(ec2),
    ec2Instances: ec2Instances(ec2),
    ec2Network: ec2Network(ec2),
    ec2Snapshots: ec2Snapshots(ec2),
    ec2Volumes: ec2Volumes(ec2),
    sfnExecutions: sfnExecutions(sfn, setting.stateMachineArn),
    ssmParameters: ssmParameters(ssm),
    s3Artifacts: s3Artifacts({ AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' }, 'artifacts'),
    s3Sources: s3Sources({ AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' }),
  } satisfies Record<Factory, unknown>;
  const adapter = adapters[factory] as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const args = (samples(setting)[factory] as unknown as Record<string, unknown[]>)[method];
  const run = adapter[method];
  if (run === undefined || args === undefined) throw new Error(`${factory} has no method ${method}`);
  try {
    const answer = await run(...args);
    // Whoever signs a URL must be allowed what the URL does.
    if (typeof answer === 'string' && answer.includes('X-Amz-Signature=')) {
      calls.push({
        service: 's3',
        operation: method === 'presignPut' ? 'PutObject' : 'GetObject',
        input: {},
      });
    }
  } catch (error) {
    if (!(error instanceof Error && /returned no/.test(error.message))) throw error;
  } finally {
    vi.unstubAllGlobals();
  }
  return calls;
}

export async function callsOfFunction(name: FunctionName, setting: Setting): Promise<Call[]> {
  const calls: Call[] = [];
  const own = name === 'plan' ? { ...setting, tag: tagKey.retention } : setting;
  for (const { factory, method } of methodsOf(name)) calls.push(...(await callsOf(factory, method, own)));
  return calls;
}
