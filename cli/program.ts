import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { buildStatuses } from '../core/api/schemas.ts';
import type { Api } from './api.ts';
import { readBuild } from './build-id.ts';
import { completionScripts, shells } from './completion-script.ts';
import { EXIT, exitCodes } from './exit.ts';
import { DEFAULT_STACK, type Environment, findApi, type Whereabouts } from './find-api.ts';
import { addSetting, type Settings } from './setting.ts';

/** `--set name=value`, any number of times. */
function setting(text: string, before: Settings = {}): Settings {
  const added = addSetting(text, before);
  if ('problem' in added) throw new InvalidArgumentError(added.problem);
  return added.settings;
}

const number =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number, ${least} to ${most}.`);
  };

/** `a,b` and given again: a list. */
const list = (text: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  ...text.split(',').filter((word) => word !== ''),
];

const exitCodesText = `Exit codes: ${exitCodes.map(([code, meaning]) => `${code} ${meaning}`).join('; ')}.`;

/** The whole command line. Verbs load what they do when they are called: `foundry validate` knows no AWS. */
export function foundryProgram(environment: Environment): Command {
  const program = new Command('foundry')
    .description('Builds FreeBSD machine images on AWS from recipes (docs/recipe.md).')
    .exitOverride()
    .configureHelp({ sortSubcommands: false, showGlobalOptions: true })
    .addHelpText(
      'after',
      `
The factory is found by --api or FOUNDRY_API_URL, or with --local as the local cloud, or else by its stack in CloudFormation, with
region and credentials as the AWS CLI has them. What people read goes to standard error; standard output has ids alone where it is
no terminal, and JSON with --json.
${exitCodesText}`,
    );

  /** A verb with its examples: what is typed, and what it does. */
  const verb = (usage: string, description: string, examples: readonly string[]): Command =>
    program
      .command(usage)
      .description(description)
      .option('--json', 'print JSON for programs')
      .addHelpText(
        'after',
        `\nExamples:\n${examples.map((example) => `  ${example}`).join('\n')}\n\n${exitCodesText}`,
      );

  const ofRecipes = (command: Command): Command =>
    command.option(
      '--set <name=value>',
      'give a parameter its value, or pick one value of the matrix; repeatable',
      setting,
    );

  /** A verb that asks a factory. */
  const asking = (usage: string, description: string, examples: readonly string[]): Command =>
    verb(usage, description, examples)
      .option('--api <url>', 'address of the factory’s API')
      .option('--local', 'ask the local cloud of `foundry cloud up`')
      .option('--state <directory>', 'where that local cloud keeps its state')
      .option('--stack <name>', `the factory’s CloudFormation stack; ${DEFAULT_STACK} unless said`)
      .option('--aws-region <name>', 'region of the factory')
      .option('--aws-profile <name>', 'profile of the AWS CLI’s configuration');

  const exit = (code: number): void => {
    process.exitCode = code;
  };
  const api = (where: Whereabouts): Promise<Api> => findApi(where, environment);

  /** Builds by id or ARN. Where no option and no variable says where the factory is, the first ARN does. */
  const named = async (builds: readonly string[], where: Whereabouts) => {
    const read = builds.map(readBuild);
    const said = [where.api, where.local, where.stack, environment.FOUNDRY_API_URL || undefined];
    const inferred = said.every((one) => one === undefined) ? read[0]?.where : {};
    return { api: await api({ ...inferred, ...where }), ids: read.map(({ id }) => id) };
  };

  verb('init [file]', 'Write a recipe: asks what the image shall be. Each question has a flag.', [
    'foundry init                                      # asks, and writes <name>.yaml',
    'foundry init web.yaml --package nginx --yes       # asks nothing: the rest is as usual',
  ])
    .option('--name <name>', 'what the image is called; else the name of the file')
    .option('--release <release>', 'FreeBSD release, such as 15.1-RELEASE')
    .addOption(new Option('--architecture <name>', 'for which machines').choices(['amd64', 'arm64']))
    .addOption(new Option('--filesystem <name>', 'root file system').choices(['ufs', 'zfs']))
    .addOption(
      new Option('--flavour <name>', 'of FreeBSD’s EC2 images').choices(['small', 'base', 'cloud-init']),
    )
    .option('--root-size <GiB>', 'size of the root volume', number(1, 65_536))
    .option('--package <name>', 'a package to install; repeatable', list)
    .option('--user <name>', 'a user beside the login user of EC2')
    .option('--ssh-key <key>', 'its public key, or the .pub file that has it')
    .addOption(new Option('--updates <when>', 'security updates').choices(['first-boot', 'at-build', 'none']))
    .option('--region <name>', 'a region to copy the image to; repeatable', list)
    .option('-y, --yes', 'ask nothing')
    .action(async (file: string | undefined, options) => {
      const { init } = await import('./init.ts');
      const { yes = false, json = false, package: packages, region: regions, ...given } = options;
      exit(await init(file, { given: { ...given, packages, regions }, yes, json }));
    });

  ofRecipes(
    verb('validate <recipe...>', 'Check recipes and tell what their images will contain. Needs no network.', [
      'foundry validate web.yaml',
      'foundry validate web.yaml --set tier=production --json',
    ]),
  ).action(async (files: string[], options) => {
    const { validate } = await import('./validate.ts');
    exit((await validate(files, options)) ? EXIT.ok : EXIT.problems);
  });

  ofRecipes(
    verb(
      'plan <recipe...>',
      'Resolve recipes as a build would: sets, files, name, size, time and price. Asks the mirrors only.',
      ['foundry plan web.yaml', 'foundry plan web.yaml --files | less'],
    ),
  )
    .option('--files', 'print every file with its content')
    .option('--job', 'print the job that the worker would get, without its secrets')
    .option('--aws-region <name>', 'region whose prices the estimate takes; us-east-1 unless said')
    .action(async (files: string[], options) => {
      const { plan } = await import('./plan.ts');
      exit((await plan(files, options)) ? EXIT.ok : EXIT.problems);
    });

  ofRecipes(
    asking('build <recipe...>', 'Build recipes, and follow the builds. Prints the AMIs at the end.', [
      'foundry build web.yaml                           # Ctrl-C detaches, and the build goes on',
      'foundry build --detach web.yaml | xargs foundry show',
      'foundry build --publish-together release.yaml    # a matrix whose images are published together or not at all',
      'ami=$(foundry build web.yaml)                    # the AMI in the factory’s region alone',
      'foundry build --json web.yaml | jq -c \'select(.event == "ended") | .details.result\'',
    ]),
  )
    .option('-d, --detach', 'do not follow: print the ids of the builds')
    .option('--publish-together', 'the builds of a matrix as one: publish all images, or none')
    .option('--concurrency <number>', 'the builds of a matrix as one: so many at once', number(1, 100))
    .option(
      '--tolerate <percent>',
      'the builds of a matrix as one: so many may fail before the rest is stopped',
      number(0, 100),
    )
    .option('-n, --dry-run', 'have it planned by the factory: nothing that costs money is made')
    .action(async (files: string[], options) => {
      const { build } = await import('./build.ts');
      const { publishTogether, concurrency, tolerate: toleratedFailures } = options;
      const wishes = Object.entries({ publishTogether, concurrency, toleratedFailures });
      const wish = Object.fromEntries(wishes.filter(([, value]) => value !== undefined));
      const matrix = Object.keys(wish).length > 0 ? wish : undefined;
      exit(await build(() => api(options), files, { ...options, matrix, environment }));
    });

  const listing = (command: Command): Command =>
    command
      .option('--limit <number>', 'how many at most; all unless said', number(1, 100_000))
      .option('--table', 'a table also where standard output is no terminal');

  listing(
    asking('builds', 'List builds, the newest first.', [
      'foundry builds --limit 10',
      'foundry builds --status FAILED | xargs foundry resume',
    ]),
  )
    .addOption(
      new Option('--status <status>', 'only those that are so')
        .choices(buildStatuses)
        .argParser((text: string) => {
          const status = buildStatuses.find((known) => known === text.toUpperCase());
          if (status === undefined)
            throw new InvalidArgumentError(`Allowed choices are ${buildStatuses.join(', ')}.`);
          return status;
        }),
    )
    .action(async (options) => {
      const { listBuilds } = await import('./lists.ts');
      await listBuilds(await api(options), options);
    });

  asking('show <build...>', 'Tell all that is known of builds, by id or by the ARN of the execution.', [
    'foundry show web-0861ae9e7de4',
    'foundry show --follow web-0861ae9e7de4           # come back to a build',
  ])
    .option('-f, --follow', 'until it has ended')
    .action(async (builds: string[], options) => {
      const { show } = await import('./show.ts');
      const { api: asked, ids } = await named(builds, options);
      exit(await show(asked, ids, { ...options, environment }));
    });

  asking('logs <build>', 'Print the console of the worker, or of a machine of the boot test.', [
    'foundry logs -f web-0861ae9e7de4                 # what it says from now on, too',
    'foundry logs --source boot-m6i.large web-0861ae9e7de4',
  ])
    .option('-f, --follow', 'go on with what it says, and with the next machine’s')
    .option('--source <name>', 'worker, or boot-<instance type>; else the machine that runs, or ran last')
    .action(async (build: string, options) => {
      const { logs } = await import('./logs.ts');
      const { api: asked, ids } = await named([build], options);
      exit(await logs(asked, ids[0] ?? build, options));
    });

  asking(
    'resume <build...>',
    'Start builds that failed or were stopped once more; they go on with what those left whole. Prints their ids.',
    [
      'foundry resume web-0861ae9e7de4',
      'foundry resume --follow arn:aws:states:eu-west-1:111122223333:execution:ami-foundry-build-image:web-0861ae9e7de4',
    ],
  )
    .option('-f, --follow', 'until they have ended')
    .action(async (builds: string[], options) => {
      const { resume } = await import('./resume.ts');
      const { api: asked, ids } = await named(builds, options);
      exit(await resume(asked, ids, { ...options, environment }));
    });

  asking('abort <build...>', 'Stop builds; the factory takes away all they made. Prints their ids.', [
    'foundry abort web-0861ae9e7de4',
    'foundry builds --status RUNNING | xargs foundry abort',
  ]).action(async (builds: string[], options) => {
    const { abort } = await import('./abort.ts');
    const { api: asked, ids } = await named(builds, options);
    await abort(asked, ids, options);
  });

  listing(
    asking('images', 'List the factory’s images.', [
      'foundry images --recipe web',
      'foundry images --region eu-west-1 --json',
    ]),
  )
    .option('--region <name>', 'only those of this region')
    .option('--recipe <name>', 'only those of this recipe')
    .action(async (options) => {
      const { listImages } = await import('./lists.ts');
      await listImages(await api(options), options);
    });

  asking(
    'retire <ami...>',
    'Put images and their copies away, unless somebody uses them; they are deleted some days later. Prints their ids.',
    ['foundry retire ami-0123456789abcdef0'],
  ).action(async (images: string[], options) => {
    const { retire } = await import('./retire.ts');
    exit(await retire(await api(options), images, options));
  });

  asking('releases', 'List the releases that the watcher has seen on the mirror.', ['foundry releases'])
    .option('--table', 'a table also where standard output is no terminal')
    .action(async (options) => {
      const { listReleases } = await import('./lists.ts');
      await listReleases(await api(options), options);
    });

  ofRecipes(
    asking(
      'subscribe <recipe...>',
      'Have recipes built when a release appears that their `subscribe` asks for. Prints their names.',
      ['foundry subscribe web.yaml'],
    ),
  ).action(async (files: string[], options) => {
    const { subscribe } = await import('./subscribe.ts');
    await subscribe(() => api(options), files, options);
  });

  asking('unsubscribe <name...>', 'Build recipes no more on their own. Prints their names.', [
    'foundry unsubscribe web',
  ]).action(async (names: string[], options) => {
    const { unsubscribe } = await import('./subscribe.ts');
    await unsubscribe(await api(options), names, options);
  });

  asking('subscriptions', 'List the recipes that are built when a release appears.', [
    'foundry subscriptions',
  ])
    .option('--table', 'a table also where standard output is no terminal')
    .action(async (options) => {
      const { listSubscriptions } = await import('./lists.ts');
      await listSubscriptions(await api(options), options);
    });

  asking(
    'console',
    'Open the factory in a browser: a page on this machine, until Ctrl-C. Prints its address.',
    ['foundry console', 'foundry console --local --no-open --port 8080'],
  )
    .option('--port <number>', 'port of 127.0.0.1; a free one unless said', number(0, 65_535))
    .option('--no-open', 'print the address only')
    .action(async (options) => {
      const { showConsole } = await import('./console.ts');
      await showConsole(await api(options), options);
    });

  verb('deploy', 'Deploy the factory into an AWS account, or its newest version. Prints the API’s address.', [
    'foundry deploy --diff                            # what would change',
    'foundry deploy --setting distributionRegions=eu-west-1,us-west-2',
  ])
    .option('-c, --setting <name=value>', 'a setting of the deployment (docs/deploy.md); repeatable', setting)
    .option('--diff', 'only tell what would change')
    .option('-y, --yes', 'do not ask about wider permissions')
    .option('--aws-region <name>', 'region to deploy to')
    .option('--aws-profile <name>', 'profile of the AWS CLI’s configuration')
    .action(async (options) => {
      const { deploy } = await import('./deploy.ts');
      const { setting: settings = {}, diff = false, yes = false, json = false } = options;
      exit(await deploy({ ...options, settings, diff, yes, json, environment }));
    });

  const clouds = program
    .command('cloud')
    .description(
      'The local cloud: an AWS on this machine, with the factory in it and a demo release to build.',
    );
  for (const [action, description, example] of [
    ['up', 'Start it in the background. Prints what to export to a shell.', 'eval "$(foundry cloud up)"'],
    ['down', 'Stop it. What it holds is found again at the next start.', 'foundry cloud down'],
    ['status', 'Tell where it runs; exit code 1 if it does not.', 'foundry cloud status --json'],
  ] as const) {
    const command = clouds
      .command(action)
      .description(description)
      .option('--state <directory>', 'where it keeps its state')
      .option('--json', 'print JSON for programs')
      .addHelpText('after', `\nExample:\n  ${example}`);
    if (action === 'up') {
      command
        .option('--port <number>', 'port of 127.0.0.1; 0 takes a free one; 4566 unless said', (text) =>
          String(number(0, 65_535)(text)),
        )
        .option('--foreground', 'stay, until Ctrl-C');
    }
    command.action(async (options) => {
      const { cloud } = await import('./cloud.ts');
      exit(await cloud(action, options, environment));
    });
  }

  program
    .command('completion')
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .description('Print the completion script for a shell.')
    .addHelpText(
      'after',
      `
Examples:
  eval "$(foundry completion bash)"                                    # in ~/.bashrc
  eval "$(foundry completion zsh)"                                     # in ~/.zshrc, after compinit
  foundry completion fish > ~/.config/fish/completions/foundry.fish    # once`,
    )
    .action((shell: (typeof shells)[number]) => {
      process.stdout.write(completionScripts[shell]);
    });
  return program;
}
