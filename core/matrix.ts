import * as z from 'zod/mini';

/** One build of a matrix, as its list in the artifacts bucket has it; StartExecution of build-image gets `input` as it stands. */
export const matrixItem = z.object({
  /** Name of the first attempt: from the recipe's digest, as of any build. */
  build: z.string().check(z.minLength(1)),
  input: z.looseObject({ recipe: z.unknown() }),
});
export type MatrixItem = z.output<typeof matrixItem>;

/** What the execution of a matrix is started with. */
export const matrixInput = z.strictObject({
  /** Key of the list in the artifacts bucket. */
  list: z.string(),
  /** How many it has. */
  builds: z.int().check(z.gte(0)),
  concurrency: z.int().check(z.gte(1)),
  /** Percent. */
  toleratedFailures: z.number().check(z.gte(0), z.lte(100)),
  publishTogether: z.boolean(),
});
export type MatrixInput = z.output<typeof matrixInput>;

export const matrixBuildStatuses = [
  'WAITING',
  'RUNNING',
  'SUCCEEDED',
  'FAILED',
  'TIMED_OUT',
  'ABORTED',
] as const;

/** How many of its builds have come how far. */
export const matrixSummary = z.object({
  total: z.int(),
  succeeded: z.int(),
  /** Also those that were stopped. */
  failed: z.int(),
  waiting: z.int(),
  running: z.int(),
});

/** What came of the builds of a matrix, for people and programs. */
export const matrixReport = z.object({
  summary: matrixSummary,
  builds: z.array(
    z.object({
      build: z.string(),
      status: z.enum(matrixBuildStatuses),
      imageId: z.nullable(z.string()),
      /** The code of its error. */
      error: z.nullable(z.string()),
    }),
  ),
});
export type MatrixReport = z.output<typeof matrixReport>;
export type MatrixBuild = MatrixReport['builds'][number];

export function summarized(builds: readonly MatrixBuild[]): MatrixReport {
  const of = (...some: MatrixBuild['status'][]) =>
    builds.filter(({ status }) => some.includes(status)).length;
  return {
    summary: {
      total: builds.length,
      succeeded: of('SUCCEEDED'),
      failed: of('FAILED', 'TIMED_OUT', 'ABORTED'),
      waiting: of('WAITING'),
      running: of('RUNNING'),
    },
    builds: [...builds],
  };
}

const matrixMark = z.object({ matrix: z.string() });
const heldMark = z.object({ held: matrixMark });

/** The matrix for which a build was held that ended with this; undefined for any other build. */
export const heldFor = (output: string | undefined): string | undefined =>
  heldMark.safeParse(read(output)).data?.held.matrix;

/** The matrix that publishes a build that was started with this, together with all its others; undefined for any other build. */
export const publishedBy = (input: string | undefined): string | undefined =>
  matrixMark.safeParse(read(input)).data?.matrix;

function read(json: string | undefined): unknown {
  if (json === undefined) return undefined;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
