// make deploy, make diff, make destroy: the CDK's command line with a deployment's settings, after a look whether it can work at all.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ListExecutionsCommand, SFNClient } from '@aws-sdk/client-sfn';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { nearestName } from '../core/nearest-name.ts';
import { settingNames } from './settings.ts';

const USAGE = 'usage: infra/deploy.ts deploy|diff|destroy [--yes] [setting=value …]';
const verbs = ['deploy', 'diff', 'destroy'] as const;
const STACK = 'ami-foundry';

/** The CDK's own: those of `cdk bootstrap --qualifier`, feature flags. */
const FOR_CDK = /^@aws-cdk\//;
const QUALIFIER = '@aws-cdk/core:bootstrapQualifier';

/** What the shell says; a profile's region is known to the SDK and the CDK alone. */
const region = process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION;
const client = region === undefined ? {} : { region };

/** Ends with what is wrong and what to do about it. */
function giveUp(code: number, ...lines: string[]): never {
  console.error(lines.join('\n'));
  process.exit(code);
}

const nameOf = (error: unknown) => (error instanceof Error ? error.name : 'Error');
const told = (error: unknown) => (error instanceof Error ? error.message : String(error));

const [verb, ...words] = process.argv.slice(2);
const does = verbs.find((each) => each === verb);
if (does === undefined) giveUp(2, USAGE);
const yes = words.includes('--yes');
const settings = new Map<string, string>();
for (const word of words.filter((each) => each !== '--yes')) {
  const [, name = '', value = ''] = /^([^=]+)=(.*)$/s.exec(word) ?? giveUp(2, `${word} is no setting`, USAGE);
  if (!settingNames.includes(name) && !FOR_CDK.test(name)) {
    const near = nearestName(name, settingNames);
    giveUp(2, `There is no setting ${name}.`, near ? `Did you mean ${near}?` : 'infra/README.md lists all.');
  }
  settings.set(name, value);
}

/** Where a deployment goes: CDK's bootstrap tells account and region. Undefined when the caller may not look, which CDK need not. */
async function place(): Promise<{ account: string; region: string } | undefined> {
  const parameter = `/cdk-bootstrap/${settings.get(QUALIFIER) ?? 'hnb659fds'}/version`;
  try {
    const { Parameter } = await new SSMClient(client).send(new GetParameterCommand({ Name: parameter }));
    const [, found, account] = /^arn:[^:]+:ssm:([^:]+):(\d+):/.exec(Parameter?.ARN ?? '') ?? [];
    return found === undefined || account === undefined ? undefined : { region: found, account };
  } catch (error) {
    if (nameOf(error) === 'ParameterNotFound') {
      giveUp(
        1,
        `This account and region${region ? ` (${region})` : ''} are not bootstrapped for the CDK: there is no parameter ${parameter}.`,
        'Once for each account and region, by whoever may make roles (docs/deploy.md, "Before the first time"):',
        '  npx cdk bootstrap',
      );
    }
    if (/^(AccessDenied|UnauthorizedOperation)/.test(nameOf(error))) return undefined;
    if (/region is missing/i.test(told(error))) {
      giveUp(1, 'No region: set AWS_REGION, or give your AWS profile one.');
    }
    if (nameOf(error) === 'CredentialsProviderError') {
      giveUp(
        1,
        `No AWS credentials: ${told(error)}`,
        'Set AWS_PROFILE, or log in, so that `aws sts get-caller-identity` answers.',
      );
    }
    giveUp(1, `AWS was asked where to deploy and said no: ${nameOf(error)}: ${told(error)}`);
  }
}

/** Builds that run would go on without the reaper, which goes with the stack. */
async function nothingRuns({ account, region: where }: { account: string; region: string }): Promise<void> {
  const partition = where.startsWith('cn-') ? 'aws-cn' : where.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
  try {
    const { executions = [] } = await new SFNClient({ region: where }).send(
      new ListExecutionsCommand({
        stateMachineArn: `arn:${partition}:states:${where}:${account}:stateMachine:${STACK}-build-image`,
        statusFilter: 'RUNNING',
      }),
    );
    if (executions.length === 0) return;
    giveUp(
      1,
      `${executions.length} builds run: ${executions.map(({ name }) => name).join(', ')}`,
      'The reaper, which would clean up after them, goes with the stack. Let them end, or stop them and wait a quarter of an hour.',
    );
  } catch (error) {
    if (nameOf(error) === 'StateMachineDoesNotExist') return;
    console.error(`Whether builds run is not known (${nameOf(error)}): if some do, stop here.`);
  }
}

const where = does === 'diff' ? undefined : await place();
if (where) console.error(`${does}: stack ${STACK}, account ${where.account}, region ${where.region}`);
if (does === 'destroy' && where) await nothingRuns(where);

const approval = {
  // Shows every change, and asks before any.
  deploy: yes ? ['--require-approval', 'never'] : ['--require-approval', 'any-change'],
  diff: [],
  destroy: yes ? ['--force'] : [],
}[does];
const { status } = spawnSync(
  process.execPath,
  [
    fileURLToPath(new URL('../node_modules/aws-cdk/bin/cdk', import.meta.url)),
    does,
    ...approval,
    ...[...settings].flatMap(([name, value]) => ['--context', `${name}=${value}`]),
  ],
  {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: 'inherit',
    env: { ...process.env, ...(region === undefined ? {} : { AWS_REGION: region }) },
  },
);
if (does === 'destroy' && status === 0) {
  console.error(
    'AMIs, their snapshots and parameters, and the artifacts bucket stay (docs/deploy.md, "Removing it").',
  );
}
process.exitCode = status ?? 1;
