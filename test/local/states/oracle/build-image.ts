/** The project's own state machine with stub functions: the road to the end, and each task failing twice over. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Act, Script } from '../stage.ts';
import type { OracleCase } from './cases.ts';

const folder = join(dirname(fileURLToPath(import.meta.url)), '../../../../statemachines');

interface Machine {
  States: Record<
    string,
    {
      Type: string;
      Arguments?: { FunctionName: string };
      Retry?: { ErrorEquals: string[] }[];
      ItemProcessor?: Machine;
    }
  >;
}

/** Those of a Map stand among the others. */
const allOf = ({ States }: Machine): [string, Machine['States'][string]][] =>
  Object.entries(States).flatMap(([name, state]) => [
    [name, state] as [string, Machine['States'][string]],
    ...(state.ItemProcessor ? allOf(state.ItemProcessor) : []),
  ]);

/** The tasks of the road without a volume. */
const withoutVolume = ['StartSnapshot', 'WriteBlocks', 'CompleteSnapshot'];

/** Whatever a step adds to the state, all at once: the stubs do not know which state they serve. */
const STATE = {
  dryRun: false,
  adopted: null,
  plan: {
    build: 'build',
    image: { name: 'image' },
    recipeDigest: 'digest',
    release: '15.1-RELEASE',
    bootTest: {},
  },
  waiting: { ready: true },
  snapshot: { snapshotId: 'snap-1' },
  image: { imageId: 'ami-1' },
  report: { ok: true },
  salvaged: { kept: [], told: '' },
};

const DIRECT = {
  ...STATE,
  plan: { ...STATE.plan, road: 'ebs-direct' },
  report: { ok: true, blocks: { pieces: 3, count: 600, indexSha256: 'digest' } },
};

/** Tasks of the windows road, and what leads there. */
const onlyWindows = ['LaunchWindows', 'SwapRoot', 'CreateImage'];
const windows: Script = {
  WaitForSnapshot: [{ returns: { ...STATE, plan: { ...STATE.plan, road: 'windows' } } }],
};

/** Tasks of a distribution, and what leads there: before anything is made, and after all is cleaned up. */
const onlyDistributed = ['Preflight', 'Distribute', 'Publish'];
const DISTRIBUTED = {
  ...STATE,
  plan: { ...STATE.plan, distribution: { regions: [] } },
  distribution: { ready: true, pauseSeconds: 5 },
  publication: {
    at: '2026-11-26T12:00:00Z',
    regions: [{ region: 'us-east-1', imageId: 'ami-1' }],
    parameters: [],
  },
};
const distributed: Script = { Plan: [{ returns: DISTRIBUTED }], CleanUp: [{ returns: DISTRIBUTED }] };

export function buildImageCases(): OracleCase[] {
  return readdirSync(folder)
    .filter((name) => name === 'build-image.asl.json')
    .flatMap((file) => {
      const text = readFileSync(join(folder, file), 'utf8');
      const tasks = allOf(JSON.parse(text) as Machine).filter(
        ([name, { Type: type }]) => type === 'Task' && name !== 'Announce',
      );
      /** Every step says that the disk goes without a volume. */
      const ofPieces = (pieces: number): Script => {
        const returns = {
          ...DIRECT,
          report: { ...DIRECT.report, blocks: { ...DIRECT.report.blocks, pieces } },
        };
        return Object.fromEntries(tasks.map(([name]) => [name, [{ returns }]]));
      };
      const direct = ofPieces(3);
      return [
        machineCase(`${file}: to the end`, text, {}),
        machineCase(`${file}: without a volume`, text, direct),
        machineCase(`${file}: without a boot test`, text, {
          WaitForImage: [{ returns: { ...STATE, plan: { ...STATE.plan, bootTest: null } } }],
        }),
        machineCase(`${file}: by the windows road`, text, windows),
        machineCase(`${file}: to other regions`, text, distributed),
        machineCase(`${file}: to other regions, whose copies are not ready at once`, text, {
          ...distributed,
          Distribute: [
            { returns: { ...DISTRIBUTED, distribution: { ready: false, pauseSeconds: 5 } } },
            { returns: DISTRIBUTED },
          ],
        }),
        machineCase(`${file}: an image that is there, to other regions`, text, {
          ...distributed,
          Plan: [{ returns: { ...DISTRIBUTED, adopted: { imageId: 'ami-2', snapshotId: 'snap-2' } } }],
          Preflight: [{ returns: {} }],
        }),
        machineCase(`${file}: with the disk that a failed build has left`, text, {
          Plan: [{ returns: { ...STATE, snapshot: { snapshotId: 'snap-1', from: 'earlier' } } }],
        }),
        machineCase(`${file}: a dry run`, text, { Plan: [{ returns: { ...STATE, dryRun: true } }] }),
        machineCase(`${file}: waits that are not ready at once`, text, {
          WaitForWorker: [{ returns: { ...STATE, waiting: { ready: false } } }, { returns: STATE }],
        }),
        ...tasks.flatMap(([name, { Retry: retriers = [] }]) => {
          const [retryable = 'States.ALL'] = retriers[0]?.ErrorEquals ?? [];
          const error = (errorType: string): Act => ({
            error: { errorType, errorMessage: `${name} failed` },
          });
          // The other clean-ups are only reached through a failure.
          const failures: Readonly<Record<string, Script>> = {
            CleanUpAfterFailure: { Launch: [{ error: { errorType: 'Broken', errorMessage: 'broken' } }] },
            Salvage: { Launch: [{ error: { errorType: 'Broken', errorMessage: 'broken' } }] },
            CleanUpForPlan: { Register: [{ error: { errorType: 'ImageNameTaken', errorMessage: 'taken' } }] },
            RollBack: {
              ...distributed,
              Publish: [{ error: { errorType: 'Broken', errorMessage: 'broken' } }],
            },
          };
          const roads: [readonly string[], Script][] = [
            [onlyWindows, windows],
            [onlyDistributed, distributed],
            // Of pieces that fail at once, engines differ in which fail and which are cut short.
            [['WriteBlocks'], ofPieces(1)],
            [withoutVolume, direct],
          ];
          const [, road = {}] = roads.find(([names]) => names.includes(name)) ?? [];
          const before = failures[name] ?? road;
          return [
            machineCase(`${file}: ${name} fails with ${retryable}, then works`, text, {
              ...before,
              [name]: [error(retryable), { returns: withoutVolume.includes(name) ? DIRECT : STATE }],
            }),
            machineCase(`${file}: ${name} fails for good`, text, { ...before, [name]: [error('Permanent')] }),
          ];
        }),
      ];
    });
}

function machineCase(name: string, text: string, script: Script): OracleCase {
  const definition = JSON.parse(text) as Machine;
  const scripts: Script = {};
  // The stubs have no event bus.
  const { Announce: announce } = definition.States;
  if (announce) {
    announce.Type = 'Pass';
    for (const field of ['Arguments', 'Resource', 'TimeoutSeconds', 'Retry', 'Catch'] as const) {
      delete (announce as Record<string, unknown>)[field];
    }
  }
  for (const [state, { Arguments: args }] of allOf(definition)) {
    if (args === undefined) continue;
    // One function serves several states: here each state calls one of its own name, so that a script can single it out.
    args.FunctionName = state;
    scripts[state] = script[state] ?? [{ returns: STATE }];
  }
  return { name, definition, script: scripts, input: { recipe: { release: '15.1-RELEASE' } } };
}
