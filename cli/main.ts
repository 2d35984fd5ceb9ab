#!/usr/bin/env node
// `foundry`: what people type. One file per verb; exit codes are those of the help text below.
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { FactoryError } from '../core/errors.ts';
import { plan } from './plan.ts';
import { resume } from './resume.ts';
import { printable } from './secrets.ts';
import { addSetting, type Settings } from './setting.ts';
import { validate } from './validate.ts';

const EXIT = { ok: 0, problems: 1, usage: 2 } as const;

/** What AWS says no to, and credentials that are not there, are no defects of the program. */
const fromAws = (error: unknown): error is Error =>
  error instanceof Error && ('$fault' in error || error.name === 'CredentialsProviderError');

/** `--set name=value`, any number of times. */
function setting(text: string, before: Settings = {}): Settings {
  const added = addSetting(text, before);
  if ('problem' in added) throw new InvalidArgumentError(added.problem);
  return added.settings;
}

const program = new Command('foundry')
  .description('Builds FreeBSD machine images on AWS from recipes (docs/recipe.md).')
  .exitOverride()
  .configureHelp({ sortSubcommands: false, showGlobalOptions: true })
  .addHelpText(
    'after',
    '\nExit codes: 0 all is well, 1 a recipe or what it needs has problems, 2 the command line is wrong.',
  );

const verb = (name: string, description: string) =>
  program
    .command(`${name} <recipe...>`)
    .description(description)
    .option(
      '--set <name=value>',
      'give a parameter its value, or pick one value of the matrix; repeatable',
      setting,
    )
    .option('--json', 'print JSON for programs')
    .addHelpText(
      'after',
      '\nExit codes: 0 all is well, 1 a recipe or what it needs has problems, 2 the command line is wrong.',
    );

verb('validate', 'Check recipes and tell what their images will contain. Needs no network.').action(
  async (files: string[], options) => {
    process.exitCode = (await validate(files, options)) ? EXIT.ok : EXIT.problems;
  },
);

verb(
  'plan',
  'Resolve recipes as a build would: sets, files, name, size, time and price. Asks the mirrors only.',
)
  .option('--files', 'print every file with its content')
  .option('--job', 'print the job that the worker would get, without its secrets')
  .action(async (files: string[], options) => {
    process.exitCode = (await plan(files, options)) ? EXIT.ok : EXIT.problems;
  });

program
  .command('resume <build>')
  .description(
    'Start a build that failed or was stopped once more; it goes on with what that one left whole. Prints its name.',
  )
  .option('--json', 'print JSON for programs')
  .action(async (build: string, { json = false }: { json?: boolean }) => {
    // Only who speaks to AWS waits for its client.
    const [{ SFNClient }, { sfnBuilds }] = await Promise.all([
      import('@aws-sdk/client-sfn'),
      import('../adapters/aws/builds.ts'),
    ]);
    const result = await resume(sfnBuilds(new SFNClient()), build);
    if (!result.started)
      console.error(printable(`${result.build} has succeeded: there is nothing to resume.`));
    console.log(json ? JSON.stringify(result) : printable(result.build));
  });

// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  else if (error instanceof FactoryError || fromAws(error)) {
    console.error(printable(`${error.name}: ${error.message}`));
    process.exitCode = EXIT.problems;
  } else throw error;
}
