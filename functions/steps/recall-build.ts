import * as z from 'zod/mini';
import { buildState, executionSchema } from '../../core/build-state.ts';
import { FactoryError } from '../../core/errors.ts';
import type { Executions } from '../../core/ports.ts';

/** What a build that is held for its matrix ends with, beside what every build ends with: all that publishing it takes. */
const heldOutput = z.object({
  imageId: z.string(),
  held: z.object({
    /** Name of the matrix' execution. */
    matrix: z.string(),
    state: z.extend(
      z.pick(buildState, { plan: true }),
      z.partial(z.pick(buildState, { adopted: true, image: true, snapshot: true, distribution: true })).shape,
    ),
  }),
});

export const recallBuildStep = {
  name: 'recall-build',
  input: z.object({ build: z.string() }),
  output: z.object({
    /** What Publish and RollBack read, as the build itself would hand it to them. */
    state: z.extend(heldOutput.shape.held.shape.state, { matrix: z.string() }),
    execution: executionSchema,
  }),
  options: z.object({}),
};

interface RecallBuildDependencies {
  readonly executions: Pick<Executions, 'describe'>;
  /** ARN of the state machine that builds. */
  readonly stateMachineArn: string;
}

/** Gets the state of a build that was held for its matrix out of what its execution ended with. */
export const recallBuild =
  ({ executions, stateMachineArn }: RecallBuildDependencies) =>
  async ({ build }: z.output<typeof recallBuildStep.input>) => {
    const execution = await executions.describe(build);
    const output = execution.status === 'ended' ? execution.output : undefined;
    const result = heldOutput.safeParse(output === undefined ? undefined : JSON.parse(output));
    if (execution.status !== 'ended' || !result.success) {
      throw new FactoryError('InvalidState', {
        message: `${build} is not held for a matrix: its execution ${execution.status === 'ended' ? `ended as ${execution.outcome} with something else` : `is ${execution.status}`}`,
        remedy: 'statemachines/ and the functions are of different versions: deploy again.',
      });
    }
    const { matrix, state } = result.data.held;
    return {
      state: { ...state, matrix },
      execution: {
        name: build,
        arn: `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${build}`,
        startTime: new Date(execution.startedAt).toISOString(),
      },
    };
  };
