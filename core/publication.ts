import * as z from 'zod/mini';
import type { BuildState } from './build-state.ts';

const parameterBefore = z.nullable(z.object({ value: z.string(), version: z.int() }));

/**
 * What readers saw before a publication began, and what it makes of that. Written before anything is changed, so that whoever
 * finds it can put everything back: the build itself, or the reaper when the build is no more.
 */
export const journalSchema = z.object({
  version: z.literal(1),
  build: z.string(),
  /** Start of the execution, ISO: its name may come again. */
  execution: z.string(),
  /** The matrix whose images are published together: only when it has succeeded, this has. */
  matrix: z.optional(z.string()),
  /** When it was written, ISO. */
  at: z.string(),
  /** Whether anything may be changed yet: until then the journal only keeps others away, and `before` says nothing. */
  begun: z._default(z.boolean(), true),
  /** Who shall be able to launch the image: `all`, accounts, ARNs. */
  share: z.array(z.string()),
  /** ISO time; null when the image shall not be deprecated by this build. */
  deprecateAt: z.nullable(z.string()),
  /** Names, in the order in which they are written. */
  parameters: z.array(z.string()),
  regions: z.array(
    z.object({
      region: z.string(),
      imageId: z.string(),
      before: z.object({
        permissions: z.array(z.string()),
        deprecatedAt: z.nullable(z.string()),
        parameters: z.record(z.string(), parameterBefore),
      }),
    }),
  ),
});

export type Journal = z.output<typeof journalSchema>;

/** One change that readers may see. */
export type Flip =
  | {
      readonly kind: 'share';
      readonly region: string;
      readonly imageId: string;
      readonly add: readonly string[];
    }
  | { readonly kind: 'deprecate'; readonly region: string; readonly imageId: string; readonly at: string }
  | { readonly kind: 'parameter'; readonly region: string; readonly imageId: string; readonly name: string };

/** The inverse of a change. What is not as the publication left it any more is somebody else's, and stays. */
export type Undo =
  | {
      readonly kind: 'share';
      readonly region: string;
      readonly imageId: string;
      readonly remove: readonly string[];
    }
  | {
      readonly kind: 'deprecate';
      readonly region: string;
      readonly imageId: string;
      readonly at: string;
      readonly before: string | null;
    }
  | {
      readonly kind: 'parameter';
      readonly region: string;
      readonly imageId: string;
      readonly name: string;
      readonly before: string | null;
    };

const missingFrom = (there: readonly string[], wanted: readonly string[]): string[] =>
  wanted.filter((one) => !there.includes(one));

/**
 * The changes in stages: each is done in all regions before the next begins. Whoever resolves a parameter finds an image that may be
 * launched, so permissions come first; `latest`, which most read, comes last.
 */
export function flipStages({ share, deprecateAt, parameters, regions }: Journal): Flip[][] {
  const stages: Flip[][] = [
    regions.map(({ region, imageId, before }) => ({
      kind: 'share',
      region,
      imageId,
      add: missingFrom(before.permissions, share),
    })),
    deprecateAt === null
      ? []
      : regions.map(({ region, imageId }) => ({ kind: 'deprecate', region, imageId, at: deprecateAt })),
    ...parameters.map((name) =>
      regions.map(({ region, imageId }): Flip => ({ kind: 'parameter', region, imageId, name })),
    ),
  ];
  return stages
    .map((stage) => stage.filter((flip) => flip.kind !== 'share' || flip.add.length > 0))
    .filter((stage) => stage.length > 0);
}

/** The way back, stage by stage, for all changes, done or not: what names the image, who may launch it, until when it is found. */
export function undoStages(journal: Journal): Undo[][] {
  const before = new Map(journal.regions.map((one) => [one.region, one.before]));
  const inverse = (flip: Flip): Undo => {
    const { region, imageId } = flip;
    switch (flip.kind) {
      case 'share':
        return { kind: 'share', region, imageId, remove: flip.add };
      case 'deprecate':
        return {
          kind: 'deprecate',
          region,
          imageId,
          at: flip.at,
          before: before.get(region)?.deprecatedAt ?? null,
        };
      case 'parameter':
        return {
          kind: 'parameter',
          region,
          imageId,
          name: flip.name,
          before: before.get(region)?.parameters[flip.name]?.value ?? null,
        };
    }
  };
  const stages = flipStages(journal).reverse();
  // The deprecation of an image that is public cannot be cancelled (DisableImageDeprecation): so it comes last.
  const dates = (stage: readonly Flip[]) => stage.some(({ kind }) => kind === 'deprecate');
  return [...stages.filter((stage) => !dates(stage)), ...stages.filter(dates)].map((stage) =>
    stage.map(inverse).reverse(),
  );
}

/** The list that launch permissions are compared by. */
export const permissionsOf = ({
  accounts,
  organizations,
  organizationalUnits,
  public: everybody,
}: NonNullable<BuildState['plan']['distribution']>['share']): string[] => [
  ...(everybody ? ['all'] : []),
  ...accounts,
  ...organizations,
  ...organizationalUnits,
];

/** EC2 keeps deprecation dates in minutes (EnableImageDeprecation). */
export const toMinute = (time: number): string => new Date(Math.floor(time / 60_000) * 60_000).toISOString();

/** First digits of the content digest, as the image's name has them: the parameter of this very image, and the one that moves. */
export const parameterNames = (path: string, contentDigest: string): readonly [string, string] => [
  `${path}/${contentDigest.slice(0, 12)}`,
  `${path}/latest`,
];

/** Fills the holes of a path, such as {name}: what a recipe may write there is for its schema to say. */
export const parameterPath = (
  path: string,
  of: {
    readonly name: string;
    readonly release: string;
    readonly architecture: string;
    readonly filesystem: string;
    readonly flavour: string;
  },
): string => {
  const { name, release, architecture, filesystem, flavour } = of;
  const words: Readonly<Record<string, string>> = { name, release, architecture, filesystem, flavour };
  return path.replaceAll(/\{(\w+)\}/g, (_hole, word: string) => words[word] ?? '');
};
