import { namedFailure, Refusal, wrongField } from '../../core/api/problems.ts';
import type { RouteReply, RouteRequest } from '../../core/api/routes.ts';
import type { Clock } from '../../core/clock.ts';
import { FactoryError } from '../../core/errors.ts';
import { publishedBy } from '../../core/matrix.ts';
import { executionName } from '../../core/names.ts';
import type { BuildRuns, Records } from '../../core/ports.ts';
import { parseRecipe, type Recipe, recipeDigest } from '../../core/recipe.ts';
import { composeRecipe } from '../../core/recipe-composition.ts';
import { readRecipeText } from '../../core/recipe-text.ts';
import { startAttempt } from '../../core/start-attempts.ts';
import { buildInput } from '../../core/start-build.ts';
import { matrixOf } from '../../core/start-matrix.ts';

interface StartBuildDependencies {
  readonly runs: BuildRuns;
  /** Executions of matrices. */
  readonly matrices: Pick<BuildRuns, 'start' | 'find'>;
  readonly records: Pick<Records, 'put'>;
  /** The text behind an https URL. Throws `RecipeUnavailable`. */
  readonly fetchRecipe: (url: string) => Promise<string>;
  readonly clock: Clock;
  readonly pause: (milliseconds: number) => Promise<void>;
}

type Asked = RouteRequest<'start-build'>['body'];
type Reply = RouteReply<'start-build'>;

/** How long after the question the answer to a dry run waits for its plan, fetching the recipe included: API Gateway gives up after 30 s. */
const PLAN_MILLISECONDS = 24_000;
const LOOK_MILLISECONDS = 400;

/** Running builds that are looked through for this one: at most so many can be under way. */
const RUNNING_PAGES = 10;

export const startBuild =
  ({ runs, matrices, records, fetchRecipe, clock, pause }: StartBuildDependencies) =>
  async ({ body, requestId }: RouteRequest<'start-build'>): Promise<Reply> => {
    const asked = clock.now();
    const builds = await recipesOf(body, fetchRecipe);
    const [only, another] = builds;
    if (only === undefined || (another !== undefined && body.dryRun)) {
      throw wrongField(
        'recipe',
        `stands for ${builds.length} builds; one can be planned at once`,
        'pick one by parameters: a value for each key of the matrix.',
      );
    }
    if (another !== undefined) return await startMatrix(builds.map((one) => parseRecipe(one)));
    if (body.matrix !== undefined) {
      throw wrongField('matrix', 'is about several builds, and the recipe is one', 'leave it out.');
    }
    const recipe = parseRecipe(only);
    const digest = recipeDigest(recipe);
    const name = executionName(recipe.name, digest);
    if (body.dryRun) return await plan(`${name}-plan-${shortOf(requestId)}`, buildInput(recipe, true));
    const running = await runningAttempt(name);
    const { id, created } =
      running === undefined
        ? await startAttempt(runs, {
            names: (attempt) => executionName(recipe.name, digest, attempt),
            input: buildInput(recipe),
            now: clock.now(),
          })
        : { id: running, created: false };
    return {
      status: created ? 202 : 200,
      body: { id, kind: 'build', status: 'RUNNING', created, plan: null },
    };

    /** Asked for again while it runs it is the same: the list is written anew, with the same words. */
    async function startMatrix(recipes: readonly Recipe[]): Promise<Reply> {
      const { names, list, input } = matrixOf(recipes, body.matrix);
      await records.put(list.key, list.text);
      const { id, created } = await startAttempt(matrices, { names, input, now: clock.now() });
      return {
        status: created ? 202 : 200,
        body: { id, kind: 'matrix', status: 'RUNNING', created, plan: null },
      };
    }

    /** Any attempt: the first may be forgotten while a later one runs. One that its matrix publishes with all others delivers nothing by itself. */
    async function runningAttempt(first: string): Promise<string | undefined> {
      let nextToken: string | undefined;
      for (let pages = 0; pages < RUNNING_PAGES; pages++) {
        const page = await runs.list({ status: 'RUNNING', limit: 100, nextToken });
        for (const { name } of page.runs) {
          if (name !== first && !isLaterAttempt(name, first)) continue;
          const run = await runs.find(name);
          if (run !== undefined && publishedBy(run.input) === undefined) return name;
        }
        if (page.nextToken === null) break;
        nextToken = page.nextToken;
      }
      return undefined;
    }

    async function plan(id: string, input: string): Promise<Reply> {
      await runs.start(id, input);
      for (;;) {
        const run = await runs.find(id);
        const answer = { id, kind: 'build' as const, created: true };
        if (run?.status === 'SUCCEEDED') {
          const { plan: made = null } = JSON.parse(run.output ?? '{}') as { plan?: Record<string, unknown> };
          return { status: 200, body: { ...answer, status: run.status, plan: made } };
        }
        if (run !== undefined && run.status !== 'RUNNING') {
          const failure = namedFailure(run.error, run.cause ?? '');
          // A mirror that does not answer is the recipe's; what is broken here is not.
          if (failure !== undefined) throw new Refusal(failure.code, failure, { status: 422 });
          return { status: 200, body: { ...answer, status: run.status, plan: null } };
        }
        if (clock.now() - asked > PLAN_MILLISECONDS) {
          return { status: 202, body: { ...answer, status: 'RUNNING', plan: null } };
        }
        await pause(LOOK_MILLISECONDS);
      }
    }
  };

const isLaterAttempt = (name: string, first: string): boolean =>
  name.startsWith(`${first}-`) && /^\d+$/.test(name.slice(first.length + 1));

/** Dry runs have names of their own, for which nobody asks again. */
const shortOf = (requestId: string): string => requestId.replaceAll(/[^A-Za-z0-9]/g, '').slice(0, 12);

/** The builds that a request stands for, as values for `parseRecipe`. */
async function recipesOf(
  { recipe: given, recipeUrl, parameters = {} }: Asked,
  fetchRecipe: (url: string) => Promise<string>,
): Promise<unknown[]> {
  if ((given === undefined) === (recipeUrl === undefined)) {
    throw wrongField(
      'recipe',
      given === undefined ? 'is missing, and so is recipeUrl' : 'and recipeUrl are both given',
      'give one of the two.',
    );
  }
  const recipe = recipeUrl === undefined ? given : await fetchRecipe(recipeUrl);
  try {
    const value = typeof recipe === 'string' ? readRecipeText(recipe, 'the recipe') : recipe;
    if (typeof value === 'object' && value !== null && 'extends' in value) {
      throw wrongField(
        'recipe.extends',
        'names files, which the factory does not have',
        'send the whole recipe: foundry build resolves extends before it asks.',
      );
    }
    const set = Object.fromEntries(Object.entries(parameters).map(([name, one]) => [name, String(one)]));
    const read = () => Promise.reject(new Error('a recipe without extends reads no file'));
    return (await composeRecipe(value, 'the recipe', { read, set })).map((build) => build.value);
  } catch (error) {
    // The stack has an end before a text of a hundred thousand brackets has.
    if (!(error instanceof RangeError)) throw error;
    throw new FactoryError(
      'InvalidRecipe',
      { message: 'the recipe is nested too deeply', remedy: 'send a recipe.' },
      { cause: error },
    );
  }
}
