import { FactoryError } from '../core/errors.ts';
import { nextAttempt } from '../core/names.ts';
import type { Builds } from '../core/ports.ts';

/** Attempts at one build: a month of trying every quarter of an hour. */
const MOST_ATTEMPTS = 3000;

const absent = (message: string, remedy: string) => new FactoryError('BuildNotFound', { message, remedy });

/** The ARN of a build's execution: it may be given as that, or by its name where there is one factory. */
async function executionArn(builds: Builds, build: string): Promise<string> {
  if (build.startsWith('arn:')) return build;
  const [factory, another] = await builds.factories();
  if (factory !== undefined && another === undefined) {
    return `${factory.replace(':stateMachine:', ':execution:')}:${build}`;
  }
  throw absent(
    factory === undefined
      ? 'this account and region has no state machine whose name ends in -build-image'
      : `this account and region has several factories, such as ${factory} and ${another}`,
    'give the ARN of the execution: it stands in the cause of the failed build. AWS_REGION and AWS_PROFILE say where to look.',
  );
}

/**
 * Starts a build that failed, was aborted or timed out once more, with the same input under the next name: it takes over whatever that one left
 * whole. Tells the name of the build that runs now, or has succeeded. Throws `BuildNotFound` and `BuildRunning`.
 */
export async function resume(
  builds: Builds,
  build: string,
): Promise<{ readonly build: string; readonly started: boolean }> {
  const arn = await executionArn(builds, build);
  const found = await builds.describe(arn);
  if (found === undefined) {
    throw absent(
      `there is no build ${arn}`,
      'see its name in the Step Functions console; Step Functions forgets builds after 90 days.',
    );
  }
  const name = arn.split(':').at(-1) ?? '';
  if (found.status === 'SUCCEEDED') return { build: name, started: false };
  if (found.status === 'RUNNING') {
    throw new FactoryError('BuildRunning', {
      message: `${name} is still running`,
      remedy: 'wait for its end, or stop it: aws stepfunctions stop-execution.',
    });
  }
  let next = nextAttempt(name);
  for (let attempts = 0; attempts < MOST_ATTEMPTS; attempts++, next = nextAttempt(next)) {
    const started = await builds.start(found.stateMachineArn, next, found.input);
    if (started !== undefined) return { build: started.split(':').at(-1) ?? next, started: true };
  }
  throw absent(`${name} has been tried ${MOST_ATTEMPTS} times`, 'start it under another name.');
}
