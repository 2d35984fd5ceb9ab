import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT } from './exit.ts';
import type { Environment } from './find-api.ts';
import { projectDirectory, runProgram } from './run-program.ts';
import type { Settings } from './setting.ts';
import { print, printJson, say } from './terminal.ts';

interface DeployOptions {
  readonly context: Settings;
  readonly diff: boolean;
  readonly yes: boolean;
  readonly json: boolean;
  readonly awsRegion?: string | undefined;
  readonly awsProfile?: string | undefined;
  readonly environment: Environment;
}

/**
 * Deploys the factory by the CDK, which makes the bundles first (cdk.json), shows what changes and asks about permissions. Prints the
 * API's address.
 */
export async function deploy(options: DeployOptions): Promise<number> {
  const { context, diff, yes, json, awsRegion, awsProfile } = options;
  const environment = {
    ...options.environment,
    ...(awsRegion === undefined ? {} : { AWS_REGION: awsRegion, AWS_DEFAULT_REGION: awsRegion }),
  };
  const directory = await mkdtemp(join(tmpdir(), 'foundry-deploy-'));
  try {
    const outputs = join(directory, 'outputs.json');
    const code = await runProgram(
      join(projectDirectory, 'node_modules/.bin/cdk'),
      [
        ...(diff
          ? ['diff']
          : ['deploy', '--outputs-file', outputs, '--require-approval', yes ? 'never' : 'broadening']),
        ...Object.entries(context).flatMap(([key, value]) => ['--context', `${key}=${value}`]),
        ...(awsProfile === undefined ? [] : ['--profile', awsProfile]),
      ],
      { environment, output: 'stderr' },
    );
    if (code !== 0) {
      say(
        `The CDK ended with ${code}. If it speaks of bootstrapping: npx cdk bootstrap, once for an account and region; docs/deploy.md has the permissions that are needed.`,
      );
      return EXIT.unreachable;
    }
    if (diff) return EXIT.ok;
    const url = await apiUrl(outputs);
    if (url === undefined) {
      say('It is deployed, and says no address of an API: the stack has no output ApiUrl.');
      return EXIT.problems;
    }
    say('Deployed. Next: foundry init web.yaml && foundry build web.yaml');
    if (json) printJson({ apiUrl: url });
    else print(url);
    return EXIT.ok;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function apiUrl(outputs: string): Promise<string | undefined> {
  const stacks = JSON.parse(await readFile(outputs, 'utf8')) as Record<string, Record<string, string>>;
  return Object.values(stacks).find(({ ApiUrl }) => ApiUrl !== undefined)?.ApiUrl;
}
