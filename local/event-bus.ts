import { randomUUID } from 'node:crypto';
import type { Clock } from './clock.ts';
import type { AwsJsonService } from './front/aws-json.ts';
import { ServiceError, unsupported } from './front/service-error.ts';

/** PutEventsRequestEntry, as far as it is read. */
export interface EventEntry {
  readonly Source?: string;
  readonly DetailType?: string;
  /** JSON. */
  readonly Detail?: string;
  readonly Resources?: readonly string[];
  readonly EventBusName?: string;
  /** Epoch seconds. */
  readonly Time?: number;
}

/** An event as rules and targets see it ("AWS service event metadata"). */
export interface BusEvent {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type': string;
  readonly source: string;
  readonly account: string;
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface PutEventsResult {
  FailedEntryCount: number;
  Entries: ({ EventId: string } | { ErrorCode: string; ErrorMessage: string })[];
}

/** PutEvents: 1 to 10 entries. */
const MOST_ENTRIES = 10;
/** "Calculating PutEvents event entry size": the entries of a request together, 256 KB. */
const MOST_BYTES = 256 * 1024;

/** The default event bus of the account. */
export class EventBus implements AwsJsonService {
  readonly #clock: Clock;
  readonly #region: string;
  readonly #accountId: string;
  readonly #listeners = new Set<(event: BusEvent) => void>();

  constructor(parts: { clock: Clock; region: string; accountId: string }) {
    this.#clock = parts.clock;
    this.#region = parts.region;
    this.#accountId = parts.accountId;
  }

  get arn(): string {
    return `arn:aws:events:${this.#region}:${this.#accountId}:event-bus/default`;
  }

  /** Told of every event; returns what ends the subscription. */
  subscribe(listener: (event: BusEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async handle(operation: string, body: unknown): Promise<PutEventsResult> {
    if (operation !== 'PutEvents') throw unsupported(`the EventBridge operation ${operation}`);
    const { Entries, ...others } = body as { Entries?: EventEntry[] };
    const [other] = Object.keys(others);
    if (other !== undefined) throw unsupported(`PutEvents' ${other}`);
    return this.put(Entries ?? []);
  }

  /** Takes each entry on its own: one that fails keeps none of the others back. */
  put(entries: readonly EventEntry[]): PutEventsResult {
    if (entries.length < 1 || entries.length > MOST_ENTRIES) {
      throw new ServiceError(
        'ValidationException',
        `1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length between 1 and ${MOST_ENTRIES}`,
      );
    }
    if (entries.reduce((sum, entry) => sum + sizeOf(entry), 0) > MOST_BYTES) {
      throw new ServiceError(
        'ValidationException',
        'Total size of the entries in the request is over the limit.',
      );
    }
    const events: BusEvent[] = [];
    const answers = entries.map((entry) => {
      const wrong = fault(entry);
      if (wrong) return wrong;
      const event = this.#event(entry);
      events.push(event);
      return { EventId: event.id };
    });
    for (const event of events) for (const listener of this.#listeners) listener(event);
    return { FailedEntryCount: answers.length - events.length, Entries: answers };
  }

  #event({ Source = '', DetailType = '', Detail = '{}', Resources = [], Time }: EventEntry): BusEvent {
    const time = new Date(Time === undefined ? this.#clock.now() : Time * 1000);
    return {
      version: '0',
      id: randomUUID(),
      'detail-type': DetailType,
      source: Source,
      account: this.#accountId,
      time: time.toISOString().replace(/\.\d+Z$/, 'Z'),
      region: this.#region,
      resources: Resources,
      detail: JSON.parse(Detail) as Record<string, unknown>,
    };
  }
}

/** Same page: 14 bytes for a time, and the bytes of source, type, detail and resources. */
const sizeOf = ({ Time, Source = '', DetailType = '', Detail = '', Resources = [] }: EventEntry): number =>
  (Time === undefined ? 0 : 14) +
  [Source, DetailType, Detail, ...Resources].reduce((sum, text) => sum + Buffer.byteLength(text), 0);

/** PutEventsResultEntry, ErrorCode. */
function fault(entry: EventEntry): { ErrorCode: string; ErrorMessage: string } | undefined {
  const known = ['Source', 'DetailType', 'Detail', 'Resources', 'EventBusName', 'Time'];
  const other = Object.keys(entry).find((member) => !known.includes(member));
  if (other !== undefined) throw unsupported(`PutEvents' ${other}`);
  if (entry.EventBusName !== undefined && !/^(.*event-bus\/)?default$/.test(entry.EventBusName)) {
    throw new ServiceError('ResourceNotFoundException', `Event bus ${entry.EventBusName} does not exist.`);
  }
  for (const member of ['Source', 'DetailType', 'Detail'] as const) {
    if (!entry[member]) {
      return {
        ErrorCode: 'InvalidArgument',
        ErrorMessage: `Parameter ${member} is not valid. Reason: ${member} is a required argument.`,
      };
    }
  }
  if (entry.Source?.startsWith('aws.')) {
    return {
      ErrorCode: 'NotAuthorizedForSourceException',
      ErrorMessage: 'Not authorized for the source.',
    };
  }
  try {
    const detail: unknown = JSON.parse(entry.Detail ?? '');
    if (typeof detail === 'object' && detail !== null && !Array.isArray(detail)) return undefined;
  } catch {
    // Not JSON: the same as JSON that is no object.
  }
  return { ErrorCode: 'MalformedDetail', ErrorMessage: 'Detail is malformed.' };
}
