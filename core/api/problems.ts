import { type ErrorCode, errorCatalogue, FactoryError, isOurs, runbookAnchor } from '../errors.ts';
import type { Problem } from './schemas.ts';

/** A field that is wrong, in the words of the request: `recipe.packages.0`, `limit`. */
export interface FieldProblem {
  readonly field: string;
  readonly message: string;
}

/** What the API says no to, when its code alone does not tell the HTTP status or the fields. */
export class Refusal extends FactoryError {
  readonly status: number;
  readonly fields: readonly FieldProblem[];

  constructor(
    code: ErrorCode,
    text: { readonly message: string; readonly remedy: string },
    {
      status = 400,
      fields = [],
      ...options
    }: ErrorOptions & { readonly status?: number; readonly fields?: readonly FieldProblem[] } = {},
  ) {
    super(code, text, options);
    this.status = status;
    this.fields = fields;
  }
}

/** A request with one field that is wrong. */
export const wrongField = (field: string, message: string, remedy: string): Refusal =>
  new Refusal('InvalidRequest', { message: `${field} ${message}`, remedy }, { fields: [{ field, message }] });

const notFound: readonly ErrorCode[] = ['BuildNotFound', 'ImageUnknown', 'SubscriptionNotFound'];
const conflicts: readonly ErrorCode[] = [
  'BuildRunning',
  'BuildOfMatrix',
  'BuildEnded',
  'ImageInUse',
  'ImageQuarantined',
];

/** What AWS calls it when it puts a caller off, and what its clients call an outage. */
const busy =
  /^(Throttling|ThrottlingException|ThrottledException|RequestLimitExceeded|RequestThrottled(Exception)?|TooManyRequestsException|SlowDown|ServiceUnavailable(Exception)?|Unavailable|InternalServer(Error|Exception)|InternalError|InternalFailure|ServiceException|TimeoutError|RequestTimeout)$/;

/** Seconds after which who was put off should ask again: buckets of Step Functions and EC2 fill up within some. */
export const RETRY_AFTER_SECONDS = 3;

export interface ProblemAnswer {
  readonly problem: Problem;
  /** Whether an operator should see why. */
  readonly unexpected: boolean;
}

/** What a caller is told of an error: his own mistakes in full, what is broken behind the API by its name at most. */
export function problemOf(error: unknown, requestId: string): ProblemAnswer {
  if (error instanceof FactoryError) {
    const { owner, retryable } = errorCatalogue[error.code];
    if (owner === 'caller' || error instanceof Refusal) return { problem: told(error), unexpected: false };
    if (retryable) return { problem: { ...told(error), status: 503 }, unexpected: true };
  }
  if (error instanceof Error && busy.test(error.name)) {
    const text = {
      message: 'AWS does not answer now, or puts this request off.',
      remedy: `ask again in ${RETRY_AFTER_SECONDS} seconds.`,
    };
    return { problem: told(new Refusal('ApiBusy', text, { status: 503 })), unexpected: true };
  }
  const text = {
    message: `the request ${requestId} failed inside the factory`,
    remedy: 'tell whoever runs the factory this id: the log of the function has the reason beside it.',
  };
  return { problem: told(new Refusal('ApiFailed', text, { status: 500 })), unexpected: true };
}

function told(error: FactoryError): Problem {
  const detail = detailOf(error.message);
  const fields = error instanceof Refusal ? error.fields : fieldsOf(error.code, detail);
  return {
    type: runbookAnchor(error.code),
    title: errorCatalogue[error.code].meaning,
    status: statusOf(error),
    detail,
    code: error.code,
    remedy: error.remedy,
    field: fields[0]?.field ?? null,
    errors: [...fields],
  };
}

function statusOf(error: FactoryError): number {
  if (error instanceof Refusal) return error.status;
  if (notFound.includes(error.code)) return 404;
  return conflicts.includes(error.code) ? 409 : 400;
}

/** The message without the lines that FactoryError adds for readers of a Cause. */
export const detailOf = (message: string): string => message.split('\nRemedy: ')[0] ?? message;

/** `InvalidRecipe` has a line for each problem, which begins with its field (core/recipe-problems.ts). */
function fieldsOf(code: ErrorCode, detail: string): FieldProblem[] {
  if (code !== 'InvalidRecipe') return [];
  return [...detail.matchAll(/^- (.*)$/gm)].map(([, line = '']) => {
    const [, field, rest = ''] = /^([a-z][\w.+-]*) (.*)$/.exec(line) ?? [];
    return field === undefined || /^(the|and|at|a)$/.test(field)
      ? { field: 'recipe', message: line }
      : { field: `recipe.${field}`, message: rest };
  });
}

/** The error of a function or an execution that ended with it: its code, and the message without what was added. */
export function namedFailure(
  code: string | undefined,
  cause: string,
): { readonly code: ErrorCode; readonly message: string; readonly remedy: string } | undefined {
  if (code === undefined || !isOurs(code, cause)) return undefined;
  const remedy = /\nRemedy: ([\s\S]*?)(?=\nMore: |$)/.exec(cause)?.[1] ?? `see ${runbookAnchor(code)}.`;
  return { code, message: detailOf(cause), remedy };
}
