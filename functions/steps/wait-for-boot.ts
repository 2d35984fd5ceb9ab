import * as z from 'zod/mini';
import { readBootConsole } from '../../core/boot-console.ts';
import { bootFailure, bootSucceeded } from '../../core/boot-verdict.ts';
import { type BuildState, buildState, required } from '../../core/build-state.ts';
import { digestOf } from '../../core/canonical-json.ts';
import type { Clock } from '../../core/clock.ts';
import { artifactKey, tagKey } from '../../core/names.ts';
import type { Artifacts, Images, Instances } from '../../core/ports.ts';
import { beginWaiting, noteSeen } from '../../core/waiting.ts';

export const waitForBootStep = {
  name: 'wait-for-boot',
  input: z.extend(
    z.pick(buildState, { plan: true, image: true, bootTest: true }),
    z.partial(z.pick(buildState, { waiting: true })).shape,
  ),
  output: z.pick(buildState, { waiting: true, bootTest: true }),
  options: z.object({}),
};

interface WaitForBootDependencies {
  readonly instances: Instances;
  readonly images: Images;
  readonly artifacts: Artifacts;
  readonly clock: Clock;
}

/** Looks once at the console of the image that boots, and judges it. Its instance is ended by the clean-up, as on every road. */
export const waitForBoot =
  ({ instances, images, artifacts, clock }: WaitForBootDependencies) =>
  async ({
    plan,
    image,
    bootTest,
    waiting: previous,
  }: z.output<typeof waitForBootStep.input>): Promise<Pick<BuildState, 'waiting' | 'bootTest'>> => {
    const { secondsAllowed, hostKeys } = required(plan.bootTest, 'plan.bootTest');
    const { instanceId, instanceType, launchedAt } = bootTest;
    const instance = await instances.describe(instanceId);
    const gone = instance !== undefined && !['pending', 'running'].includes(instance.state);
    const text = await instances.console(instanceId).catch((error: unknown) => {
      // An ended instance loses its tags, and with them goes the right to read its console.
      if (gone && error instanceof Error && error.name === 'UnauthorizedOperation') return '';
      throw error;
    });
    const progress = readBootConsole(text);
    const before = beginWaiting(previous, clock.now());
    const mark = `${progress.tail.at(-1) ?? 'nothing'} [${digestOf(text).slice(0, 8)}]`;
    const seen = { ...noteSeen(before, mark, clock.now()), goneFor: gone ? before.goneFor + 1 : 0 };
    const secondsTaken = (clock.now() - launchedAt) / 1000;
    const facts = {
      progress,
      machine: `${instanceId} (${instanceType})`,
      hostKeysExpected: hostKeys,
      console: artifactKey(plan.build, 'boot.log'),
      goneFor: seen.goneFor,
      lastWords: `${instance?.state}: ${instance?.stateReason || 'no reason given'}`,
      silentFor: clock.now() - seen.seenAt,
      secondsTaken,
      secondsAllowed,
    };
    const failure = bootFailure(facts);
    const ready = bootSucceeded(facts);
    const keep = async () => {
      await artifacts.put(facts.console, text, 'text/plain; charset=utf-8');
      const screen = failure && (await instances.screenshot(instanceId));
      if (screen) await artifacts.put(artifactKey(plan.build, 'boot-screenshot.jpg'), screen, 'image/jpeg');
    };
    if (failure) {
      // The image's failure is what the build fails with, also when console or screen cannot be kept.
      await keep().catch((error: unknown) => {
        failure.cause = error;
      });
      throw failure;
    }
    if (ready) {
      await keep();
      // Last: only an image with this tag is adopted, so one whose build was aborted in its test is not.
      await images.tag(image.imageId, tagKey.bootTested, new Date(clock.now()).toISOString());
    }
    const known = new Set(bootTest.phases.map(({ name }) => name));
    const fresh = progress.reached.filter((name) => !known.has(name));
    const seconds = Math.round(secondsTaken * 10) / 10;
    return {
      waiting: { ...seen, ready },
      bootTest: { ...bootTest, phases: [...bootTest.phases, ...fresh.map((name) => ({ name, seconds }))] },
    };
  };
