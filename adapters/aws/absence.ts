/**
 * Runs a call and gives undefined when it failed with one of the named codes ("it is not there"); any other error goes on.
 * Codes: EC2 API Reference, "Error codes for the Amazon EC2 API".
 */
export async function unless<T>(codes: readonly string[], call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof Error && codes.includes(error.name)) return undefined;
    throw error;
  }
}
