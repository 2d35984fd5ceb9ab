import * as z from 'zod/mini';
import { buildState } from './build-state.ts';
import { artifactKey, bootFileKey } from './names.ts';
import type { Artifacts, Consoles } from './ports.ts';

/** What a state says of machines, as far as it has come; whatever else is in it, and whatever version wrote it. */
const machines = z.object({
  worker: z.optional(z.pick(buildState.shape.worker, { instanceId: true })),
  bootTest: z.optional(
    z.object({ machines: z.array(z.object({ instanceId: z.string(), instanceType: z.string() })) }),
  ),
});

/** A machine of a build whose console can be read: while it runs from EC2, afterwards from the artifacts bucket. */
export interface BuildMachine {
  /** `worker` or `boot-<instance type>`. */
  readonly source: string;
  readonly instanceId: string;
  /** Of the console that is kept. */
  readonly key: string;
}

/** The machines of a build in the order in which they come. */
export function machinesOf(build: string, state: unknown): BuildMachine[] {
  const { worker, bootTest } = machines.safeParse(state).data ?? {};
  return [
    ...(worker ? [{ source: 'worker', ...worker, key: artifactKey(build, 'console.log') }] : []),
    ...(bootTest?.machines ?? []).map(({ instanceId, instanceType }) => ({
      source: `boot-${instanceType}`,
      instanceId,
      key: bootFileKey(build, instanceType, 'log'),
    })),
  ];
}

/** What a machine has printed: the console that was kept at its end, or as it is now. `kept`: nothing will be added. */
export async function consoleOf(
  { key, instanceId }: BuildMachine,
  { artifacts, consoles }: { readonly artifacts: Pick<Artifacts, 'get'>; readonly consoles: Consoles },
): Promise<{ readonly text: string; readonly kept: boolean }> {
  const kept = await artifacts.get(key);
  if (kept !== undefined) return { text: Buffer.from(kept).toString('utf8'), kept: true };
  try {
    return { text: await consoles.console(instanceId), kept: false };
  } catch (error) {
    // An ended instance loses its tags, and with them goes the right to read its console: nothing more can be shown of it.
    if (error instanceof Error && error.name === 'UnauthorizedOperation') return { text: '', kept: false };
    throw error;
  }
}
