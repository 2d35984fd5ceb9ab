import * as z from 'zod/mini';
import { buildState } from '../../core/build-state.ts';
import type { Clock } from '../../core/clock.ts';
import { artifactKey } from '../../core/names.ts';
import type { Artifacts, Instances } from '../../core/ports.ts';
import { beginWaiting, noteSeen } from '../../core/waiting.ts';
import { readWorkerConsole } from '../../core/worker-console.ts';
import { consoleMark, workerFailure } from '../../core/worker-verdict.ts';

export const waitForWorkerStep = {
  name: 'wait-for-worker',
  input: z.extend(
    z.pick(buildState, { plan: true, worker: true }),
    z.partial(z.pick(buildState, { waiting: true })).shape,
  ),
  output: z.extend(
    z.pick(buildState, { waiting: true }),
    z.partial(z.pick(buildState, { report: true })).shape,
  ),
  options: z.object({}),
};

interface WaitForWorkerDependencies {
  readonly instances: Instances;
  readonly artifacts: Artifacts;
  readonly clock: Clock;
}

/** Looks once at the worker's console: done when its report stands there, failed when it failed, died, fell silent or is late. */
export const waitForWorker =
  ({ instances, artifacts, clock }: WaitForWorkerDependencies) =>
  async ({
    plan,
    worker: { instanceId, launchedAt },
    waiting: previous,
  }: z.output<typeof waitForWorkerStep.input>): Promise<z.output<typeof waitForWorkerStep.output>> => {
    const waiting = beginWaiting(previous, clock.now());
    const instance = await instances.describe(instanceId);
    const gone = instance === undefined || !['pending', 'running'].includes(instance.state);
    const text = await instances.console(instanceId).catch((error: unknown) => {
      // An ended instance loses its tags, and with them goes the right to read its console.
      if (gone && error instanceof Error && error.name === 'UnauthorizedOperation') return '';
      throw error;
    });
    const progress = readWorkerConsole(text, plan.build);
    const keep = () =>
      artifacts.put(artifactKey(plan.build, 'console.log'), text, 'text/plain; charset=utf-8');
    const { report } = progress;
    if (report?.ok) {
      await keep();
      await artifacts.put(
        artifactKey(plan.build, 'report.json'),
        JSON.stringify(report, null, 2),
        'application/json',
      );
      return { waiting: { ...waiting, ready: true, seen: 'report', seenAt: clock.now() }, report };
    }
    const seen = noteSeen(waiting, consoleMark(progress, text), clock.now());
    const failure = workerFailure({
      progress,
      console: artifactKey(plan.build, 'console.log'),
      goneFor: seen.goneFor,
      lastWords: `${instance?.state}: ${instance?.stateReason || 'no reason given'}`,
      silentFor: clock.now() - seen.seenAt,
      secondsTaken: (clock.now() - launchedAt) / 1000,
      secondsAllowed: plan.worker.secondsAllowed,
    });
    if (failure) {
      // The worker's failure is what the build fails with, also when its console cannot be kept.
      await keep().catch((error: unknown) => {
        failure.cause = error;
      });
      throw failure;
    }
    return { waiting: { ...seen, goneFor: instance !== undefined && gone ? waiting.goneFor + 1 : 0 } };
  };
