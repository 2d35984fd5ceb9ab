import { expect, test } from 'vitest';
import { buildImageCases } from './oracle/build-image.ts';
import { runOurs } from './oracle/engines.ts';

/** The project's own machines, whether or not an oracle can be had: every failure ends as itself, after cleaning up. */
test.for(buildImageCases())('$name', async (machineCase) => {
  const { status, error, cause, events } = await runOurs(machineCase);
  const failing = Object.entries(machineCase.script ?? {}).find(([, [act]]) => act?.error !== undefined);
  const permanent = failing?.[1].length === 1;
  if (!permanent) {
    expect({ status, error, cause }).toEqual({ status: 'SUCCEEDED', error: undefined, cause: undefined });
    return;
  }
  const [state, [act]] = failing;
  // A failed roll-back adds that to the failure before it.
  const [first] = cause?.split('\n\nIt could not be rolled back: ') ?? [];
  expect({ status, error, cause: first }).toEqual({
    status: 'FAILED',
    error: act?.error?.errorType,
    cause: act?.error?.errorMessage,
  });
  expect(events.FailStateEntered, `${state} did not end in a Fail state`).toBe(1);
});
