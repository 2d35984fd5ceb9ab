import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { haveVenv, program } from '../local/judges/judges.ts';
import { functionNames, synthesize } from './synthesized.ts';

/** Judges that are not ours: cfn-lint with CloudFormation's own schemas, and the CDK's command line against moto's CloudFormation. */

const root = fileURLToPath(new URL('../../', import.meta.url));
const have = haveVenv();

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

async function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const child = spawn(command, args, { cwd: root, env: { PATH: process.env.PATH, HOME: scratch, ...env } });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      output += String(text);
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

let scratch: string;
/** What infra/ says, synthesized. */
let assembly: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'foundry-deploy-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('the template', () => {
  it.skipIf(!have)(
    'with all that can be asked for is what CloudFormation takes, says cfn-lint',
    async () => {
      const { outdir, resources } = synthesize({
        alarms: 'yes',
        alarmEmail: 'ops@example.com',
        dashboard: 'yes',
        notifyTopic: 'yes',
        distributionRegions: 'us-west-2,eu-central-1',
        sourceBuckets: 'company',
        kmsKeys: 'arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-0123456789ab',
      });
      assembly = outdir;
      const template = join(outdir, 'AmiFoundry.template.json');
      // W3005: CDK writes DependsOn beside GetAtt, which is once too often and nothing else.
      const verdict = await run(program('cfn-lint'), [
        '--ignore-checks',
        'W3005',
        '--regions',
        'us-east-1',
        'eu-west-1',
        '--template',
        template,
      ]);
      expect(verdict).toEqual({ code: 0, output: '' });
      // CloudFormation quotas: a template of 1 MB and 500 resources.
      expect(statSync(template).size).toBeLessThan(900_000);
      expect(Object.keys(resources).length).toBeLessThan(450);
    },
    120_000,
  );
});

describe.skipIf(!have)('make deploy', () => {
  let moto: ChildProcess;
  let aws: NodeJS.ProcessEnv;
  beforeAll(async () => {
    const port = await freePort();
    // Without a group of its own a stopped test run would leave it.
    moto = spawn(program('moto_server'), ['--port', String(port)], { stdio: 'ignore' });
    aws = {
      // localhost, not 127.0.0.1: by that name moto finds the template that CloudFormation is to fetch.
      AWS_ENDPOINT_URL: `http://localhost:${port}`,
      AWS_REGION: 'eu-west-1',
      AWS_ACCESS_KEY_ID: 'anybody',
      AWS_SECRET_ACCESS_KEY: 'anything',
      AWS_EC2_METADATA_DISABLED: 'true',
      CDK_DISABLE_CLI_TELEMETRY: 'true',
      CDK_DISABLE_VERSION_CHECK: 'true',
      CI: 'true',
      // dist/ is there, and other tests read it while this one runs.
      CDK_BUILD: 'true',
    };
    await vi.waitFor(async () => (await fetch(`http://localhost:${port}/moto-api/`)).text(), {
      timeout: 60_000,
      interval: 200,
    });
  }, 90_000);
  afterAll(() => moto?.kill());

  const factory = (...args: string[]) => run(process.execPath, ['infra/deploy.ts', ...args], aws);

  it('refuses what is no setting, and names the nearest', async () => {
    expect(await factory('deploy', 'distributionRegion=eu-west-1')).toEqual({
      code: 2,
      output: 'There is no setting distributionRegion.\nDid you mean distributionRegions?\n',
    });
    expect(await factory('launch')).toMatchObject({ code: 2, output: expect.stringContaining('usage:') });
  });

  it('says what is missing: credentials, a region, the bootstrap', async () => {
    const { AWS_ACCESS_KEY_ID: _key, ...nobody } = aws;
    const { AWS_REGION: _region, ...nowhere } = aws;
    const deploy = (env: NodeJS.ProcessEnv) => run(process.execPath, ['infra/deploy.ts', 'deploy'], env);
    expect(await deploy(nobody)).toMatchObject({
      code: 1,
      output: expect.stringMatching(/^No AWS credentials/),
    });
    expect(await deploy(nowhere)).toMatchObject({ code: 1, output: expect.stringMatching(/^No region/) });
    expect(await deploy(aws)).toMatchObject({
      code: 1,
      output: expect.stringMatching(/not bootstrapped[\s\S]*npx cdk bootstrap\n$/),
    });
  });

  // Three minutes on two cores: `npm run test:deploy`.
  it.skipIf(process.env.DEPLOY !== 'moto')(
    'deploys what the CDK uploads, and takes it away again',
    async () => {
      const cdk = join(root, 'node_modules/aws-cdk/bin/cdk');
      expect(await run(process.execPath, [cdk, 'bootstrap', '--app', assembly], aws)).toMatchObject({
        code: 0,
      });
      // A network of its own moto makes, but cannot take down: it deletes the VPC first.
      const settings = ['vpcId=vpc-0a0a0a0a', 'subnetIds=subnet-0b0b0b0b', 'alarms=yes', 'dashboard=yes'];
      const deployed = await factory('deploy', '--yes', ...settings);
      expect(deployed).toMatchObject({ code: 0 });
      expect(deployed.output).toContain('deploy: stack ami-foundry, account 123456789012, region eu-west-1');

      const query = async (...args: string[]) =>
        (
          await run(program('aws'), [...args, '--output', 'text'], {
            ...aws,
            AWS_DEFAULT_REGION: 'eu-west-1',
          })
        ).output.trim();
      const stack = ['cloudformation', 'describe-stacks', '--stack-name', 'ami-foundry'];
      expect(await query(...stack, '--query', 'Stacks[].StackStatus')).toBe('CREATE_COMPLETE');
      const machines = await query('stepfunctions', 'list-state-machines', '--query', 'stateMachines[].name');
      expect(machines.split(/\s+/)).toContain('ami-foundry-build-image');
      expect(Number(await query('lambda', 'list-functions', '--query', 'length(Functions)'))).toBe(
        functionNames.length,
      );

      const fewer = await factory('diff', ...settings.slice(0, 2));
      expect(fewer).toMatchObject({ code: 0, output: expect.stringMatching(/\[-\] AWS::CloudWatch::Alarm/) });

      const destroyed = await factory('destroy', '--yes', ...settings);
      expect(destroyed).toMatchObject({
        code: 0,
        output: expect.stringContaining('the artifacts bucket stay (docs/deploy.md, "Removing it")'),
      });
      expect(await query(...stack)).toContain('does not exist');
    },
    300_000,
  );
});

describe('the Makefile', () => {
  it('hands the settings on, a word each', async () => {
    const { output } = await run('make', ['--dry-run', 'deploy', 'SETTINGS=alarms=yes zones=a,b', 'YES=1']);
    expect(output).toContain("node infra/deploy.ts deploy --yes 'alarms=yes' 'zones=a,b'");
    expect(readFileSync(join(root, 'Makefile'), 'utf8')).toContain('local/setup.sh deploy');
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : expect.fail('no port');
}
