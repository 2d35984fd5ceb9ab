import * as z from 'zod/mini';
import { readBootConsole } from '../../core/boot-console.ts';
import { type BootFacts, bootFailure, bootSucceeded } from '../../core/boot-verdict.ts';
import { type BuildState, buildState, required } from '../../core/build-state.ts';
import { digestOf } from '../../core/canonical-json.ts';
import type { Clock } from '../../core/clock.ts';
import { bootFileKey, tagKey } from '../../core/names.ts';
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

type Machine = BuildState['bootTest']['machines'][number];

/**
 * Looks once at the console of every machine on which the image still boots, and judges it: the image passes when all have come up, and fails
 * with the first that does not. The machines are ended by the clean-up, as on every road.
 */
export const waitForBoot =
  ({ instances, images, artifacts, clock }: WaitForBootDependencies) =>
  async ({
    plan,
    image,
    bootTest,
    waiting: previous,
  }: z.output<typeof waitForBootStep.input>): Promise<Pick<BuildState, 'waiting' | 'bootTest'>> => {
    const { secondsAllowed, hostKeys } = required(plan.bootTest, 'plan.bootTest');

    async function look(machine: Machine) {
      const { instanceId, instanceType, launchedAt, phases, watch } = machine;
      const instance = await instances.describe(instanceId);
      const gone = instance !== undefined && !['pending', 'running'].includes(instance.state);
      const text = await instances.console(instanceId).catch((error: unknown) => {
        // An ended instance loses its tags, and with them goes the right to read its console.
        if (gone && error instanceof Error && error.name === 'UnauthorizedOperation') return '';
        throw error;
      });
      const progress = readBootConsole(text);
      const mark = `${progress.tail.at(-1) ?? 'nothing'} [${digestOf(text).slice(0, 8)}]`;
      const seen = noteSeen(watch, mark, clock.now());
      const secondsTaken = (clock.now() - launchedAt) / 1000;
      const facts: BootFacts = {
        progress,
        machine: `${instanceId} (${instanceType})`,
        hostKeysExpected: hostKeys,
        console: bootFileKey(plan.build, instanceType, 'log'),
        goneFor: gone ? watch.goneFor + 1 : 0,
        lastWords: `${instance?.state}: ${instance?.stateReason || 'no reason given'}`,
        silentFor: clock.now() - seen.seenAt,
        secondsTaken,
        secondsAllowed,
      };
      const known = new Set(phases.map(({ name }) => name));
      const fresh = progress.reached.filter((name) => !known.has(name));
      const seconds = Math.round(secondsTaken * 10) / 10;
      const now: Machine = {
        ...machine,
        phases: [...phases, ...fresh.map((name) => ({ name, seconds }))],
        watch: { ...seen, goneFor: facts.goneFor, ready: bootSucceeded(facts) },
      };
      return { machine: now, text, facts, failure: bootFailure(facts) };
    }

    const looks = await Promise.all(bootTest.machines.filter(({ watch }) => !watch.ready).map(look));
    const keep = ({ text, facts }: (typeof looks)[number]) =>
      artifacts.put(facts.console, text, 'text/plain; charset=utf-8');

    const failed = looks.find(({ failure }) => failure !== undefined);
    if (failed?.failure) {
      const { failure, machine } = failed;
      const keepAll = async () => {
        for (const each of looks) await keep(each);
        const screen = await instances.screenshot(machine.instanceId);
        const key = bootFileKey(plan.build, machine.instanceType, 'jpg');
        if (screen) await artifacts.put(key, screen, 'image/jpeg');
      };
      // The image's failure is what the build fails with, also when consoles or screen cannot be kept.
      await keepAll().catch((error: unknown) => {
        failure.cause = error;
      });
      throw failure;
    }
    for (const each of looks.filter(({ machine }) => machine.watch.ready)) await keep(each);

    const seenNow = new Map(looks.map(({ machine }) => [machine.instanceId, machine]));
    const machines = bootTest.machines.map((machine) => seenNow.get(machine.instanceId) ?? machine);
    const ready = machines.every(({ watch }) => watch.ready);
    // Last: only an image with this tag is adopted, so one whose build was aborted in its test is not.
    if (ready) await images.tag(image.imageId, tagKey.bootTested, new Date(clock.now()).toISOString());
    const summary = machines.map(
      ({ instanceType, phases }) => `${instanceType}: ${phases.at(-1)?.name ?? 'nothing'}`,
    );
    const waiting = noteSeen(beginWaiting(previous, clock.now()), summary.join(', '), clock.now());
    return { waiting: { ...waiting, ready }, bootTest: { machines } };
  };
