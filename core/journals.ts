import { FactoryError } from './errors.ts';
import { journalKey, openJournals } from './names.ts';
import type { Records } from './ports.ts';
import { type Journal, journalSchema } from './publication.ts';

/** Each is a question to S3 and one to Step Functions, whose bucket for DescribeExecution holds 300 (Developer Guide, "Quotas"). */
export const JOURNALS_AT_ONCE = 16;

/** The journals of publications that have not come to an end. */
export const journals = (records: Records) => {
  // Listed, not just read: S3 says AccessDenied of a missing object to whoever may not list.
  const isOpen = async (build: string) => (await records.list(journalKey(build))).includes(journalKey(build));

  /** Of a build that `open` named; undefined when it was closed since. */
  async function readOpen(build: string): Promise<Journal | undefined> {
    const key = journalKey(build);
    const text = await records.get(key).catch(async (error: unknown) => {
      const missing = error instanceof Error && error.name === 'NoSuchKey';
      if (missing || !(await isOpen(build))) return undefined;
      throw error;
    });
    if (text === undefined) return undefined;
    const result = journalSchema.safeParse(JSON.parse(text));
    if (result.success) return result.data;
    throw new FactoryError(
      'InvalidState',
      {
        message: `${key} in the artifacts bucket is no journal of this version`,
        remedy:
          'deploy the version of the factory that wrote it, or put back by hand what it lists; then delete it.',
      },
      { cause: result.error },
    );
  }
  return {
    readOpen,
    read: async (build: string) => ((await isOpen(build)) ? await readOpen(build) : undefined),
    write: async (journal: Journal) =>
      await records.put(journalKey(journal.build), JSON.stringify(journal, null, 2)),
    close: async (build: string) => await records.delete(journalKey(build)),
    /** Names of builds. */
    open: async () =>
      (await records.list(openJournals)).map((key) => key.slice(openJournals.length).replace(/\.json$/, '')),
  };
};
