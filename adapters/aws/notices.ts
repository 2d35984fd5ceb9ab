import type { Notices } from '../../core/ports.ts';
import { jsonService } from './json-service.ts';

/** PutEvents answers 200 for what it did not take. */
interface Answer {
  readonly FailedEntryCount: number;
  readonly Entries: readonly { readonly ErrorCode?: string }[];
}

/** The default event bus of a region; what it says has the source `ami-foundry`. */
export function eventNotices(environment: NodeJS.ProcessEnv, region: string): Notices {
  const call = jsonService(environment, region, { service: 'events', target: 'AWSEvents' });
  return {
    async tell(what, detail) {
      const entry = { Source: 'ami-foundry', DetailType: what, Detail: JSON.stringify(detail) };
      const { FailedEntryCount, Entries } = (await call('PutEvents', { Entries: [entry] })) as Answer;
      if (FailedEntryCount === 0) return;
      const name = Entries[0]?.ErrorCode ?? 'InternalFailure';
      throw Object.assign(new Error(`PutEvents in ${region} did not take "${what}"`), { name });
    },
  };
}
