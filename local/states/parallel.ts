import type { Json, ParallelState } from './definition.ts';
import { refuseLargeData } from './limits.ts';
import { LinesFailed, runLines } from './lines.ts';
import { Scope } from './scope.ts';
import { bindingsOf, join, type Line, type Transition, type Visit } from './visit.ts';

/** @see https://docs.aws.amazon.com/step-functions/latest/dg/state-parallel.html */
export async function parallel(visit: Visit<ParallelState>): Promise<Transition> {
  const { run, scope, cursor, signal, map } = visit.line;
  const { Arguments: template, Branches: branches } = visit.state;
  const input =
    template === undefined
      ? visit.input
      : await run.expressions.template(template, bindingsOf(visit), 'Arguments');
  refuseLargeData(visit.name, input);
  const startedEventId = run.history.append(cursor, 'ParallelStateStarted');

  let outputs: Json[];
  try {
    outputs = await runLines(
      signal,
      branches.map((branch) => (ending) => {
        const line: Line = {
          run,
          cursor: { previous: startedEventId },
          scope: new Scope(scope),
          signal: ending,
          outermost: false,
          interrupted: [],
          ...(map === undefined ? {} : { map }),
        };
        const done = run.walk(line, branch, input).then((output) => {
          cursor.previous = line.cursor.previous; // the join comes after the branch that ended last
          return output;
        });
        return { line, done };
      }),
      branches.length,
    );
  } catch (thrown) {
    if (!(thrown instanceof LinesFailed)) throw thrown;
    cursor.previous = thrown.eventId;
    throw thrown.failure;
  }
  return join(visit, 'ParallelStateSucceeded', outputs);
}
