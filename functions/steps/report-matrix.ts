import * as z from 'zod/mini';
import { atOnce } from '../../core/at-once.ts';
import { type MatrixBuild, matrixItem, matrixReport, summarized } from '../../core/matrix.ts';
import { chosenNames, matrixBuilds } from '../../core/names.ts';
import type { Executions, Records } from '../../core/ports.ts';

export const reportMatrixStep = {
  name: 'report-matrix',
  input: z.object({ matrix: z.string(), list: z.string() }),
  output: z.extend(matrixReport, {
    /** The builds that came to nothing, a line each: for the cause of a failure. */
    told: z.string(),
  }),
  options: z.object({}),
};

interface ReportMatrixDependencies {
  readonly executions: Pick<Executions, 'describe'>;
  readonly records: Pick<Records, 'get' | 'list'>;
}

/** Builds that are asked about at once: Step Functions' bucket for DescribeExecution is filled slowly. */
const AT_ONCE = 4;

/** Lines of failed builds in a cause, which may have 32,768 characters. */
const MOST_LINES = 100;

const delivered = z.object({ imageId: z.string() });

/** Says what came of each build of a matrix. */
export const reportMatrix =
  ({ executions, records }: ReportMatrixDependencies) =>
  async ({ matrix, list }: z.output<typeof reportMatrixStep.input>) => {
    const items = z.array(matrixItem).parse(JSON.parse(await records.get(list)));
    const names = chosenNames(await records.list(matrixBuilds(matrix)));
    const looks = await atOnce(
      AT_ONCE,
      [...items.entries()],
      async ([index, { build }]): Promise<MatrixBuild> => {
        const name = names.get(index);
        return name === undefined
          ? { build, status: 'WAITING', imageId: null, error: null }
          : await lookAt(name, executions);
      },
    );
    const builds = looks.map((look) => {
      if (look.status === 'rejected') throw look.reason;
      return look.value;
    });
    const bad = builds.filter(({ status }) => status === 'FAILED' || status === 'TIMED_OUT');
    const lines = bad
      .slice(0, MOST_LINES)
      .map(({ build, status, error }) => `- ${build}: ${error ?? status}`);
    const more = bad.length > MOST_LINES ? [`and ${bad.length - MOST_LINES} more`] : [];
    return { ...summarized(builds), told: [...lines, ...more].join('\n') };
  };

async function lookAt(build: string, executions: Pick<Executions, 'describe'>): Promise<MatrixBuild> {
  const execution = await executions.describe(build);
  if (execution.status !== 'ended') {
    const status = execution.status === 'running' ? 'RUNNING' : 'WAITING';
    return { build, status, imageId: null, error: null };
  }
  const { outcome, output, error } = execution;
  const result = delivered.safeParse(output === undefined ? undefined : JSON.parse(output));
  return { build, status: outcome, imageId: result.data?.imageId ?? null, error: error ?? null };
}
