import { FactoryError } from '../../core/errors.ts';

/** The factory's error that a call throws; anything else, or nothing, fails the test with what came instead. */
export function caught(run: () => unknown): FactoryError {
  let value: unknown;
  try {
    value = run();
  } catch (error) {
    if (error instanceof FactoryError) return error;
    throw error;
  }
  throw new Error(`nothing was thrown; the call gave ${JSON.stringify(value)}`);
}

export async function rejected(promise: Promise<unknown>): Promise<FactoryError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  return caught(() => {
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  });
}
