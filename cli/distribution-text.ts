import { parameterNames, parameterPath } from '../core/publication.ts';
import type { Recipe } from '../core/recipe.ts';
import type { ResolvedBuild } from '../core/resolve-build.ts';
import { labelled, listed } from './text.ts';

/** Where an image would go, and who would see it there; nothing when it stays where it is made. */
export interface PlannedDistribution {
  /** Beside the region of the factory, each with its key if it has one of its own. */
  readonly regions: readonly string[];
  readonly sharedWith: readonly string[];
  readonly parameters: readonly string[];
  readonly deprecatedAfterDays?: number;
}

export function describeDistribution(
  recipe: Recipe,
  { release, contentDigest }: ResolvedBuild,
): PlannedDistribution | undefined {
  const { distribution } = recipe;
  if (distribution === undefined) return undefined;
  const { regions, kmsKeys, share, parameters, deprecateAfter } = distribution;
  return {
    regions: regions.map((region) =>
      kmsKeys[region] === undefined ? region : `${region} with ${kmsKeys[region]}`,
    ),
    sharedWith: [
      ...(share.public ? ['everybody'] : []),
      ...share.accounts,
      ...share.organizations,
      ...share.organizationalUnits,
    ],
    parameters:
      parameters === undefined
        ? []
        : parameterNames(parameterPath(parameters, { ...recipe, release }), contentDigest),
    ...(deprecateAfter === undefined ? {} : { deprecatedAfterDays: deprecateAfter }),
  };
}

export function distributionText(planned: PlannedDistribution | undefined): string[] {
  if (planned === undefined) return [];
  const { regions, sharedWith, parameters, deprecatedAfterDays: days } = planned;
  return [
    ...labelled('goes to', ['the factory’s region', ...regions]),
    ...labelled('for', sharedWith.length === 0 ? ['this account only'] : sharedWith),
    ...listed('parameters', parameters),
    ...listed('', days === undefined ? [] : [`deprecated ${days} days after it is published`]),
  ];
}
