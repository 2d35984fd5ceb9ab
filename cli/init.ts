import { readFile, writeFile } from 'node:fs/promises';
import { parseRecipe } from '../core/recipe.ts';
import { readRecipeText } from '../core/recipe-text.ts';
import { CommandProblem, EXIT } from './exit.ts';
import { print, printJson, say } from './terminal.ts';

/** What a new recipe says; each has a question and a flag. */
export interface Answers {
  readonly name: string;
  readonly release: string;
  readonly architecture: string;
  readonly filesystem: string;
  readonly flavour: string;
  readonly rootSize: number;
  readonly packages: readonly string[];
  /** Empty: only the launch key logs in. */
  readonly user: string;
  readonly sshKey: string;
  readonly updates: string;
  /** Beside the factory's own. */
  readonly regions: readonly string[];
}

type Given = { readonly [Key in keyof Answers]?: Answers[Key] | undefined };

const usual: Omit<Answers, 'name'> = {
  release: '15.1-RELEASE',
  architecture: 'amd64',
  filesystem: 'ufs',
  flavour: 'small',
  rootSize: 10,
  packages: [],
  user: '',
  sshKey: '',
  updates: 'first-boot',
  regions: [],
};

interface InitOptions {
  readonly given: Given;
  /** Asks nothing. */
  readonly yes: boolean;
  readonly json: boolean;
}

/** Asks what an image shall be, and writes the recipe. Never writes over a file. Prints its path. */
export async function init(file: string | undefined, { given, yes, json }: InitOptions): Promise<number> {
  const named = given.name ?? nameOfFile(file);
  const asks = !yes && process.stdin.isTTY === true && process.stderr.isTTY === true;
  if (!asks && named === undefined) {
    throw new CommandProblem(
      'the image needs a name, and there is no terminal to ask at',
      'give one: foundry init web.yaml, or --name web; every question has such a flag: foundry init --help.',
      EXIT.usage,
    );
  }
  const answers = asks
    ? await ask({ ...given, name: named })
    : { ...usual, ...withoutUndefined(given), name: named ?? '' };
  const path = file ?? `${answers.name}.yaml`;
  const text = recipeText({ ...answers, sshKey: await readKey(answers.sshKey) });
  // What is wrong with an answer is told before anything is written.
  parseRecipe(readRecipeText(text, path), path);
  try {
    await writeFile(path, text, { flag: 'wx' });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      throw new CommandProblem(
        `${path} exists, and is not written over`,
        'give the recipe another file: foundry init other.yaml.',
      );
    }
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR') {
      throw new CommandProblem(`${path} cannot be written: ${code}`, 'name a file in a directory of yours.');
    }
    throw error;
  }
  say(`Written: ${path}. Next: foundry validate ${path}; foundry build ${path}`);
  if (json) printJson({ file: path });
  else print(path);
  return EXIT.ok;
}

const nameOfFile = (file: string | undefined): string | undefined =>
  file
    ?.split('/')
    .at(-1)
    ?.replace(/\.(ya?ml|json)$/, '');

const withoutUndefined = (given: Given): Partial<Answers> =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));

/** A key itself, or the file that has it. */
async function readKey(given: string): Promise<string> {
  if (given === '' || /^(ssh|ecdsa|sk)-\S+ /.test(given)) return given;
  try {
    return (await readFile(given, 'utf8')).trim();
  } catch (error) {
    throw new CommandProblem(
      `${given} is neither a public key nor a file that can be read: ${(error as NodeJS.ErrnoException).code}`,
      'give a line such as ssh-ed25519 AAAA…, or the path of a .pub file.',
      EXIT.usage,
    );
  }
}

const words = (text: string): string[] => text.split(/[\s,]+/).filter((word) => word !== '');

async function ask(given: Given): Promise<Answers> {
  const { input, select } = await import('@inquirer/prompts');
  // Standard output is for the path of the recipe alone.
  const context = { output: process.stderr };
  const text = async (value: string | undefined, message: string, fallback: string) =>
    value ?? (await input({ message, default: fallback }, context));
  const choice = async (value: string | undefined, message: string, choices: readonly [string, string][]) =>
    value ??
    (await select(
      {
        message,
        choices: choices.map(([option, description]) => ({ value: option, name: option, description })),
      },
      context,
    ));
  const list = async (value: readonly string[] | undefined, message: string) =>
    value ?? words(await input({ message }, context));
  try {
    const name = await text(given.name, 'What is the image called?', 'web');
    const release = await text(given.release, 'Which FreeBSD release?', usual.release);
    const architecture = await choice(given.architecture, 'For which machines?', [
      ['amd64', 'Intel and AMD'],
      ['arm64', 'Graviton'],
    ]);
    const filesystem = await choice(given.filesystem, 'Which root file system?', [
      ['ufs', 'small and quick to build; also by a Linux worker'],
      ['zfs', 'snapshots and checksums; needs a FreeBSD worker'],
    ]);
    const flavour = await choice(given.flavour, 'Which flavour of FreeBSD’s EC2 images?', [
      ['small', 'the EC2 scripts'],
      ['base', 'also debug symbols, 32-bit libraries, tests and the SSM agent'],
      ['cloud-init', 'cloud-init in the place of the EC2 scripts'],
    ]);
    const rootSize = given.rootSize ?? Number(await text(undefined, 'GiB of the root volume?', '10'));
    const packages = await list(given.packages, 'Which packages? (names, or nothing)');
    const user =
      given.user ??
      (await input({ message: 'A user beside the login user of EC2? (a name, or nothing)' }, context));
    const sshKey =
      user === ''
        ? ''
        : (given.sshKey ??
          (await input({ message: `The public key of ${user}? (a line, or the path of a .pub)` }, context)));
    const updates = await choice(given.updates, 'When are security updates installed?', [
      ['first-boot', 'by each instance, which may reboot once'],
      ['at-build', 'in the image; needs a FreeBSD worker'],
      ['none', 'not at all'],
    ]);
    const regions = await list(
      given.regions,
      'Copied to which regions beside the factory’s own? (names, or nothing)',
    );
    return {
      name,
      release,
      architecture,
      filesystem,
      flavour,
      rootSize,
      packages,
      user,
      sshKey,
      updates,
      regions,
    };
  } catch (error) {
    if (!(error instanceof Error && error.name === 'ExitPromptError')) throw error;
    throw new CommandProblem('stopped: nothing was written', 'run it again.', EXIT.detached);
  }
}

/** Plain where YAML takes it plain, else as JSON, which YAML is a superset of. */
const scalar = (value: string): string =>
  /^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(value) &&
  !/^(y|n|yes|no|on|off|true|false|null|[0-9.]+(e[0-9]+)?|0x[0-9a-f]+)$/i.test(value)
    ? value
    : JSON.stringify(value);

const listOf = (values: readonly string[]): string => `[${values.map(scalar).join(', ')}]`;

/** The recipe, with what could be said beside what is. */
export function recipeText(answers: Answers): string {
  const { user, sshKey, packages, regions } = answers;
  return [
    '# A recipe of ami-foundry. Every key: docs/recipe.md.',
    '#   foundry validate   what is wrong, or what will be in the image',
    '#   foundry plan       what would be built, how long it takes and what it costs',
    '#   foundry build      builds it',
    `name: ${scalar(answers.name)}`,
    `release: ${scalar(answers.release)}`,
    `architecture: ${scalar(answers.architecture)} # amd64 or arm64 (Graviton)`,
    `filesystem: ${scalar(answers.filesystem)} # ufs or zfs`,
    `flavour: ${scalar(answers.flavour)} # as FreeBSD’s own: small, base or cloud-init`,
    `rootSize: ${answers.rootSize}GiB # an instance may have more, never less`,
    '',
    '# When security updates are installed: first-boot, at-build or none.',
    `updates: ${scalar(answers.updates)}`,
    '',
    ...(packages.length === 0
      ? ['# packages: [nginx]', '# services: { nginx: true }']
      : [`packages: ${listOf(packages)}`, '# What of it runs: services: { nginx: true }']),
    '',
    ...(user === ''
      ? [
          '# Users beside the login user of EC2, who gets the launch key.',
          '# users:',
          '#   - name: ops',
          '#     groups: [wheel]',
          '#     sshKeys: ["ssh-ed25519 AAAA… ops@example.com"]',
        ]
      : [
          'users:',
          `  - name: ${scalar(user)}`,
          '    groups: [wheel]',
          ...(sshKey === '' ? [] : [`    sshKeys: [${JSON.stringify(sshKey)}]`]),
        ]),
    '',
    '# files:',
    '#   - path: /usr/local/etc/motd.local',
    '#     content: "Hello\\n"',
    '',
    ...(regions.length === 0
      ? [
          '# Copies, sharing and SSM parameters; without it the image stays where it is built.',
          '# distribution:',
          '#   regions: [eu-west-1]',
          '#   share: { accounts: ["111122223333"] }',
          '#   parameters: /company/images/{name}/{architecture}',
        ]
      : [
          'distribution:',
          `  regions: ${listOf(regions)}`,
          '  # share: { accounts: ["111122223333"] }',
          '  # parameters: /company/images/{name}/{architecture}',
        ]),
    '',
    '# What nobody uses and is older than this goes, quarantined first.',
    '# retention: { keep: 5, days: 90 }',
    '',
  ].join('\n');
}
