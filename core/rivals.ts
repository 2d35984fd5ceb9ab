import { atOnce } from './at-once.ts';
import { FactoryError } from './errors.ts';
import { JOURNALS_AT_ONCE, type journals } from './journals.ts';
import type { Outcomes } from './ports.ts';
import type { Journal } from './publication.ts';

type Scope = Pick<Journal, 'build' | 'parameters' | 'matrix'> & {
  readonly regions: readonly Pick<Journal['regions'][number], 'region' | 'imageId'>[];
};

/** Whether two publications change the same: an image, or a parameter in one region. */
function meet(one: Scope, other: Scope): boolean {
  const named = one.parameters.some((name) => other.parameters.includes(name));
  return one.regions.some(({ region, imageId }) =>
    other.regions.some((place) => place.imageId === imageId || (named && place.region === region)),
  );
}

/**
 * The builds whose journals are open and speak of what this publication is to change: they show it to readers just now, or whatever they showed is
 * put back until their grace is over, which would take back this publication, too. What has succeeded changes nothing more; what is published
 * with others has when their matrix has.
 */
export async function rivalsOf(
  scope: Scope,
  kept: ReturnType<typeof journals>,
  outcomes: Outcomes,
): Promise<string[]> {
  async function isRival(build: string): Promise<boolean> {
    const journal = await kept.readOpen(build);
    if (journal === undefined || !meet(scope, journal)) return false;
    const { matrix } = journal;
    // It would wait for the matrix, and the matrix for it.
    if (matrix !== undefined && matrix === scope.matrix) throw oneOfTwo(scope, build);
    const succeeded =
      matrix === undefined ? await outcomes.succeeded(build) : await outcomes.matrixSucceeded(matrix);
    return !succeeded;
  }

  const others = (await kept.open()).filter((build) => build !== scope.build);
  const results = await atOnce(JOURNALS_AT_ONCE, others, isRival);
  return others.filter((_build, index) => {
    const result = results[index];
    if (result?.status === 'rejected') throw result.reason;
    return result?.value;
  });
}

const oneOfTwo = ({ build, parameters }: Scope, other: string): FactoryError =>
  new FactoryError('InvalidRecipe', {
    message: `${build} and ${other} of one matrix are to be published together, and are the same image or write the same parameters: ${parameters.join(', ')}`,
    remedy:
      'put what tells the builds apart into distribution.parameters, such as {architecture} or {filesystem}.',
  });

/** Tried again by the state machine, for three quarters of an hour. */
export const publicationPending = (rivals: readonly string[]): FactoryError =>
  new FactoryError('PublicationPending', {
    message: `publications of the same image or to the same parameters are not at an end: ${rivals.join(', ')}`,
    remedy:
      'wait until the reaper has put back what these builds showed, half an hour after they failed or were stopped; if it cannot, its errors say why. Then `foundry resume`.',
  });
