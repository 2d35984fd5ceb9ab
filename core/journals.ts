import { FactoryError } from './errors.ts';
import { journalKey, openJournals } from './names.ts';
import type { Records } from './ports.ts';
import { type Journal, journalSchema } from './publication.ts';

/** The journals of publications that have not come to an end. */
export const journals = (records: Records) => {
  async function read(build: string): Promise<Journal | undefined> {
    // Listed, not just read: S3 says AccessDenied of a missing object to whoever may not list.
    const key = journalKey(build);
    if (!(await records.list(key)).includes(key)) return undefined;
    // The reaper may have closed it since.
    const text = await records.get(key).catch((error: unknown) => {
      if (error instanceof Error && error.name === 'NoSuchKey') return undefined;
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
    read,
    write: async (journal: Journal) =>
      await records.put(journalKey(journal.build), JSON.stringify(journal, null, 2)),
    close: async (build: string) => await records.delete(journalKey(build)),
    /** Names of builds. */
    open: async () =>
      (await records.list(openJournals)).map((key) => key.slice(openJournals.length).replace(/\.json$/, '')),
  };
};
