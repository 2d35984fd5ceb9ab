import { FactoryError } from '../core/errors.ts';
import { ApiProblem, ApiUnreachable } from './api.ts';

/** What a shell gets to know. */
export const EXIT = {
  ok: 0,
  problems: 1,
  usage: 2,
  unreachable: 3,
  detached: 130,
} as const;

/** As `--help` and docs/cli.md tell them. */
export const exitCodes: readonly (readonly [number, string])[] = [
  [EXIT.ok, 'all is well'],
  [EXIT.problems, 'a build failed, or a recipe or what was asked for has problems'],
  [EXIT.usage, 'the command line is wrong'],
  [EXIT.unreachable, 'the API or AWS cannot be reached, or refuses'],
  [EXIT.detached, 'Ctrl-C: the build that was followed goes on'],
];

/** Something that people can put right: it is told without a stack. */
export class CommandProblem extends Error {
  override readonly name = 'CommandProblem';
  readonly exitCode: number;
  constructor(message: string, remedy: string, exitCode: number = EXIT.problems) {
    super(`${message}\nRemedy: ${remedy}`);
    this.exitCode = exitCode;
  }
}

/** The exit code of what is no defect of the program; undefined for what is. */
export function exitCodeOf(error: unknown): number | undefined {
  if (error instanceof CommandProblem) return error.exitCode;
  if (error instanceof FactoryError) return EXIT.problems;
  if (error instanceof ApiUnreachable) return EXIT.unreachable;
  if (error instanceof ApiProblem) {
    const { status } = error.problem;
    return [401, 403, 429].includes(status) || status >= 500 ? EXIT.unreachable : EXIT.problems;
  }
  return undefined;
}

/** What went wrong, for people: the code, what happened, what to do, and where more stands. */
export function errorText(error: Error): string {
  const head = error instanceof CommandProblem ? '' : `${error.name}: `;
  const more = error instanceof ApiProblem ? `\nMore: ${error.problem.type}` : '';
  return `${head}${error.message}${more}`;
}
