// Writes docs/cli.md from the command line itself. Run by `npm run docs`; a test fails when it is stale.
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { exitCodes } from '../cli/exit.ts';
import { foundryProgram } from '../cli/program.ts';

/** What `--help` prints on a terminal of a hundred columns. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
    getOutHelpWidth: () => 100,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  // The same for each verb, and said once above.
  return text.replace(/\n+Exit codes: [\s\S]*$/, '').trimEnd();
}

/** Every verb, those of `cloud` too; but those that help themselves. */
const verbsOf = (command: Command): Command[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== 'help')
    .flatMap((one) => [one, ...verbsOf(one)]);

const nameOf = (command: Command): string =>
  command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;

export function cliPage(): string {
  const program = foundryProgram({});
  return [
    '# foundry',
    '',
    'Generated from `cli/` by `npm run docs`; do not edit. `foundry` is `node cli/main.ts`; `npm link` puts it on the path.',
    '',
    '## Where the factory is',
    '',
    'In this order: `--api URL`; `--local`, the local cloud of `foundry cloud up`; `--stack NAME`; `FOUNDRY_API_URL`; the CloudFormation stack `ami-foundry`, whose output `ApiUrl` is the address. Region and credentials are those of the AWS CLI',
    '(`AWS_REGION` or `AWS_DEFAULT_REGION`, `AWS_PROFILE`, SSO and the rest), or `--aws-region` and `--aws-profile`. An address of this machine gets the keys of the local cloud. A build may be named by the ARN of its execution, as the cause of a',
    'failure has it: region, stack, or the local cloud then follow from it. The caller needs `execute-api:Invoke` on the API, and `cloudformation:DescribeStacks` unless the address is given.',
    '',
    '## What is printed',
    '',
    '- Standard output that is no terminal gets ids alone, one a line: of builds (`build --detach`, `builds`, `resume`, `abort`), AMIs (`build`, `images`, `retire`), names. `--table` prints the table all the same. What is for people goes to standard error.',
    '- On a terminal a build is a live list; otherwise a line for each change, with its time. `NO_COLOR` is respected.',
    '- `--json`: `show`, `logs` and the lists print one document, the answer of the API ([openapi.json](openapi.json)), lists with the items of all pages. Whatever may be several (`build`, `resume`, `abort`, `retire`, `subscribe`) and whatever follows prints NDJSON, a document a line:',
    '  `{"event":"started","build":…}` with the API’s answer, `{"event":"planned","build":…,"plan":…}`, `{"event":"stage","build":…,"at":…,"stage":…}`, `{"event":"ended","build":…,"details":…}` with what `show` has, `{"event":"detached","build":…}`, `{"event":"aborted","build":…}`, `{"event":"log","source":…,"text":…}`. A matrix that is built as one has `matrix` in the place of `build`, and `{"event":"matrix","matrix":…,"summary":…}` for each change.',
    '- Ctrl-C while a build is followed leaves it alone: it goes on, and what is printed says how to come back and how to stop it. A second Ctrl-C ends the program at once.',
    '',
    '## Exit codes',
    '',
    '| Code | Meaning |',
    '|---|---|',
    ...exitCodes.map(([code, meaning]) => `| ${code} | ${meaning} |`),
    ...verbsOf(program).flatMap((command) => [
      '',
      `## ${nameOf(command)}`,
      '',
      '```',
      helpOf(command),
      '```',
    ]),
    '',
  ].join('\n');
}

if (import.meta.main) await writeFile(new URL('cli.md', import.meta.url), cliPage());
