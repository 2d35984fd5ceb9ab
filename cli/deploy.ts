import { EXIT } from './exit.ts';
import { type Environment, findApi } from './find-api.ts';
import { projectDirectory, runProgram } from './run-program.ts';
import type { Settings } from './setting.ts';
import { print, printJson, say } from './terminal.ts';

interface DeployOptions {
  readonly settings: Settings;
  readonly diff: boolean;
  readonly yes: boolean;
  readonly json: boolean;
  readonly awsRegion?: string | undefined;
  readonly awsProfile?: string | undefined;
  readonly environment: Environment;
}

/**
 * Deploys the factory as `make deploy` does: infra/deploy.ts looks whether it can work, and the CDK makes the bundles, shows what changes
 * and asks. Prints the API's address.
 */
export async function deploy(options: DeployOptions): Promise<number> {
  const { settings, diff, yes, json, awsRegion, awsProfile } = options;
  const environment = {
    ...options.environment,
    ...(awsRegion === undefined ? {} : { AWS_REGION: awsRegion }),
    ...(awsProfile === undefined ? {} : { AWS_PROFILE: awsProfile }),
  };
  const code = await runProgram(
    process.execPath,
    [
      `${projectDirectory}infra/deploy.ts`,
      diff ? 'diff' : 'deploy',
      ...(yes ? ['--yes'] : []),
      ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
    ],
    { environment, output: 'stderr' },
  );
  if (code !== 0) return code === EXIT.usage ? EXIT.usage : EXIT.unreachable;
  if (diff) return EXIT.ok;
  // Not what the environment says: it may name another factory.
  const { url } = await findApi({ awsRegion, awsProfile }, { ...environment, FOUNDRY_API_URL: undefined });
  say('Deployed. Next: foundry init web.yaml && foundry build web.yaml');
  if (json) printJson({ apiUrl: url });
  else print(url);
  return EXIT.ok;
}
