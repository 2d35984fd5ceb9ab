// `make image`: a recipe through the whole chain on this machine. Arguments: RECIPE [--set name=value …].
// The builds of a matrix are made one after the other.
import { execFile } from 'node:child_process';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { DescribeImagesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { coordinatesText, readRecipeFile, type WantedBuild } from '../cli/recipe-file.ts';
import { addSetting, type Settings } from '../cli/setting.ts';
import { type Receipt, receiptSchema } from '../core/api/receipt.ts';
import { FactoryError } from '../core/errors.ts';
import { artifactKey, executionName, imageRecordKey, tagKey } from '../core/names.ts';
import { type Recipe, recipeDigest } from '../core/recipe.ts';
import { roadWarnings } from '../core/windows-road.ts';
import { showProgress } from './build-progress.ts';
import { type Cloud, startCloud } from './cloud.ts';
import { MissingGrub } from './demo-release/boot-files.ts';
import { makeDemoRelease } from './demo-release/make.ts';
import { startMirror } from './demo-release/serve.ts';
import { deploy } from './deploy.ts';
import { snapshotPath } from './ec2/disks.ts';
import { OWN_NAME } from './ec2/seed.ts';
import { WorkerImageUnusable } from './ec2/worker-image.ts';
import { followBuild } from './follow-build.ts';
import { HOST_ADDRESS } from './instance-host/machine.ts';
import { StateDirectoryInUse } from './state-directory.ts';

const run = promisify(execFile);
const root = new URL('../', import.meta.url);

/** What a build ends with: the output of the state machine's Done. */
interface BuildResult {
  readonly imageId: string;
  readonly snapshotId: string;
  readonly name: string;
  readonly region: string;
  readonly adopted: boolean;
  readonly report?: { readonly seconds: number } | null;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      state: { type: 'string', default: new URL('.state/cloud', root).pathname },
      out: { type: 'string', default: new URL('out', root).pathname },
      set: { type: 'string', multiple: true, default: [] },
    },
  });
  const [file = 'examples/demo.yaml'] = positionals;
  const builds = await readRecipeFile(file, values.set.reduce(withSetting, {}));
  const workerImage = process.env.WORKER_IMAGE || undefined;
  const cloud = await startCloud({ stateDirectory: values.state, workerImage });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    // The worker is a process of its own group: a cloud that just dies would leave it running.
    process.once(signal, () => {
      console.error(`\n${signal}: stopping the local cloud and its worker`);
      cloud.stop().then(
        () => process.exit(130),
        (error: unknown) => {
          console.error(error);
          process.exit(1);
        },
      );
    });
  }
  try {
    let failed = 0;
    for (const [index, wanted] of builds.entries()) {
      if (builds.length > 1)
        console.log(`\n${index + 1} of ${builds.length}: ${coordinatesText(wanted.coordinates)}`);
      const mirror = await serveDemoRelease(wanted.recipe);
      try {
        if (!(await build(cloud, wanted, values.out, values.state))) failed++;
      } finally {
        await mirror?.close();
      }
    }
    if (failed > 0 && builds.length > 1) console.error(`\n${failed} of ${builds.length} builds failed`);
    return failed > 0 ? 1 : 0;
  } finally {
    await cloud.stop();
  }
}

function withSetting(before: Settings, text: string): Settings {
  const added = addSetting(text, before);
  if ('settings' in added) return added.settings;
  throw new FactoryError('InvalidRecipe', {
    message: `--set ${text}: ${added.problem}`,
    remedy: 'give each parameter its value once: --set name=value.',
  });
}

/** What the files of a build are called: builds of a matrix have one name, and differ in their coordinates. */
const fileName = ({ recipe, coordinates }: WantedBuild): string =>
  [recipe.name, ...Object.values(coordinates).map((value) => encodeURIComponent(value))].join('-');

/** Whether it succeeded. */
async function build(cloud: Cloud, wanted: WantedBuild, out: string, state: string): Promise<boolean> {
  const recipe = cloud.workers === 'machines' ? fromMachines(wanted.recipe) : wanted.recipe;
  const started = performance.now();
  const { stateMachineArn, artifactsBucket } = await deploy(cloud);
  const client = {
    region: cloud.region,
    endpoint: cloud.endpoint,
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  };
  const sfn = new SFNClient(client);
  const ec2 = new EC2Client(client);
  for (const warning of roadWarnings(recipe)) console.error(`WARNING: ${warning}.\n`);
  if (cloud.workers === 'machines') await refuseOtherArchitecture(ec2, recipe);
  const executionArn = await startBuild(sfn, stateMachineArn, recipe);
  const { execution } = await showProgress(followBuild(sfn, ec2, executionArn));
  const look = [
    '',
    'Look further: run `make cloud`, and in another terminal, with the variables it prints,',
    '  aws ec2 describe-images --owners self',
    `  aws stepfunctions get-execution-history --execution-arn ${executionArn}`,
  ];
  // Path-style: the local cloud has one host name for all buckets.
  const s3 = new S3Client({ ...client, forcePathStyle: true });
  const price = receiptLines(await receiptOf(s3, artifactsBucket, execution.name ?? ''));
  if (execution.status !== 'SUCCEEDED') {
    console.error(
      [`\n${execution.status}: ${execution.error}\n${execution.cause}`, ...price, ...look].join('\n'),
    );
    return false;
  }
  const result = JSON.parse(execution.output ?? '{}') as BuildResult;
  await mkdir(out, { recursive: true });
  const place = `${out}/${fileName(wanted)}`;
  const raw = `${place}.raw`;
  // As sparse as it can be: the copy is for looking at and for `dd`, where a hole reads as zeroes.
  await run('cp', ['--reflink=auto', '--sparse=auto', snapshotPath(state, result.snapshotId), raw]);
  const { size, blocks } = await stat(raw);
  const maker = await buildOf(ec2, result.imageId);
  const beside = [
    ['manifest', 'manifest.mtree.gz', `${place}.mtree.gz`],
    ['SBOM', 'sbom.cdx.json', `${place}.cdx.json`],
  ] as const;
  for (const [, file, path] of beside) {
    const { Body } = await s3.send(
      new GetObjectCommand({ Bucket: artifactsBucket, Key: imageRecordKey(maker, file) }),
    );
    await writeFile(path, (await Body?.transformToByteArray()) ?? '');
  }
  const seconds = (performance.now() - started) / 1000;
  console.log(
    [
      '',
      result.adopted ? `An earlier build made this very image: adopted, nothing was built.` : '',
      `AMI       ${result.imageId}  (${result.name})`,
      `snapshot  ${result.snapshotId}`,
      `disk      ${raw}  (${size / 2 ** 30} GiB, ${((blocks * 512) / 1e6).toFixed(0)} MB of it written)`,
      ...beside.map(([what, , path]) => `${what.padEnd(8)}  ${path}`),
      `time      ${seconds.toFixed(1)} s${result.report && !result.adopted ? `, of which the worker took ${result.report.seconds.toFixed(1)} s` : ''}`,
      ...price,
      ...look,
    ]
      .filter((line, index) => index === 0 || line !== '')
      .join('\n'),
  );
  return true;
}

/** It is written when EventBridge has told of the end, a moment later. */
async function receiptOf(s3: S3Client, bucket: string, build: string): Promise<Receipt | undefined> {
  for (let tries = 0; tries < RECEIPT_TRIES; tries++) {
    try {
      const { Body } = await s3.send(
        new GetObjectCommand({ Bucket: bucket, Key: artifactKey(build, 'receipt.json') }),
      );
      return receiptSchema.parse(JSON.parse((await Body?.transformToString()) ?? ''));
    } catch (error) {
      if (!(error instanceof Error && error.name === 'NoSuchKey')) throw error;
    }
    await pause(RECEIPT_PAUSE_MILLISECONDS);
  }
  return undefined;
}

/** Ten seconds: a cold function and a long history take one. */
const RECEIPT_TRIES = 100;
const RECEIPT_PAUSE_MILLISECONDS = 100;

/** What costs most; the rest is in the receipt. */
const RECEIPT_LINES = 3;

function receiptLines(receipt: Receipt | undefined): string[] {
  if (receipt === undefined)
    return ['price     no receipt was written: see the log of the record-build function'];
  const { dollars, estimate, prices, lines, build, monthlyDollars } = receipt;
  const money = (value: number | null) => (value === null ? '?' : `$${value.toFixed(4)}`);
  const dearest = lines
    .toSorted((a, b) => (b.dollars ?? 0) - (a.dollars ?? 0))
    .slice(0, RECEIPT_LINES)
    .map((line) => `${line.name} ${money(line.dollars)}`);
  return [
    `price     ${money(dollars)}, list prices of ${prices.region} (${prices.asOf}) as if on AWS${estimate === null ? '' : `; estimated before: ${money(estimate.dollars)} and ${estimate.seconds} s`}`,
    `          of that ${dearest.join(', ')} (waits are shorter here, so more transitions); ${money(monthlyDollars)} a month for what stays`,
    `          receipt: ${artifactKey(build, 'receipt.json')} in the artifacts bucket`,
  ];
}

/** The build that made an image: not this one, when the image was adopted. */
async function buildOf(ec2: EC2Client, imageId: string): Promise<string> {
  const { Images: [image] = [] } = await ec2.send(new DescribeImagesCommand({ ImageIds: [imageId] }));
  const build = image?.Tags?.find(({ Key }) => Key === tagKey.build)?.Value;
  if (build === undefined) throw new Error(`${imageId} has no tag ${tagKey.build}`);
  return build;
}

/** Starts the execution under the first name that Step Functions has not kept from an earlier attempt. */
async function startBuild(sfn: SFNClient, stateMachineArn: string, recipe: Recipe): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const name = executionName(recipe.name, recipeDigest(recipe), attempt);
    try {
      const { executionArn } = await sfn.send(
        new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify({ recipe }) }),
      );
      if (executionArn === undefined) throw new Error('StartExecution returned no ARN');
      return executionArn;
    } catch (error) {
      if (!(error instanceof Error && error.name === 'ExecutionAlreadyExists')) throw error;
    }
  }
}

/** The recipe as machines have to read it: 127.0.0.1 is a machine itself there. */
const fromMachines = (recipe: Recipe): Recipe => {
  const fromMachine = (url: string) =>
    url.replace(/^(https?:\/\/)127\.0\.0\.1(?=[:/]|$)/, `$1${HOST_ADDRESS}`);
  return {
    ...recipe,
    mirrors: recipe.mirrors.map(fromMachine),
    repositories: recipe.repositories.map((one) => ({ ...one, url: fromMachine(one.url) })),
  };
};

/** A machine runs programs of its own architecture only. */
async function refuseOtherArchitecture(ec2: EC2Client, { architecture }: Recipe): Promise<void> {
  const { Images: [image] = [] } = await ec2.send(
    new DescribeImagesCommand({ Filters: [{ Name: 'name', Values: [`${OWN_NAME} *`] }] }),
  );
  const its = image?.Architecture === 'x86_64' ? 'amd64' : image?.Architecture;
  if (its === architecture) return;
  throw new WorkerImageUnusable(
    process.env.WORKER_IMAGE ?? '',
    `is a disk of ${its}, and the recipe's architecture is ${architecture}`,
  );
}

/** A recipe whose mirror is this machine means the demo release: it is made, and served there. */
async function serveDemoRelease(recipe: Recipe) {
  const url = recipe.mirrors
    .map((mirror) => new URL(mirror))
    .find(({ hostname }) => hostname === '127.0.0.1');
  if (url === undefined) return undefined;
  const directory = new URL('.state/demo-release', root).pathname;
  await makeDemoRelease({ directory, architecture: recipe.architecture, log: console.error });
  try {
    return await startMirror({ directory, port: Number(url.port) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new FactoryError(
      'MirrorUnreachable',
      {
        message: `the demo release cannot be served at ${url.origin}: the port is in use`,
        remedy: 'wait until the other `make image` has ended, or give the recipe another port under mirrors.',
      },
      { cause: error },
    );
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  const told = [FactoryError, StateDirectoryInUse, MissingGrub, WorkerImageUnusable].some(
    (kind) => error instanceof kind,
  );
  if (!(told && error instanceof Error)) throw error;
  console.error(`${error.name}: ${error.message}`);
  process.exitCode = 2;
}
