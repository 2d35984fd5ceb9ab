import type { BootProgress } from './boot-console.ts';
import type { BootPhase } from './build-state.ts';
import { type ErrorCode, FactoryError } from './errors.ts';
import { GONE_POLLS, type InstanceFacts } from './waiting.ts';

/** rc(8) starts ec2_loghostkey before getty(8) asks for a login, but logger(1) and the port have their buffers. Milliseconds. */
const HOST_KEYS_GRACE = 10_000;

/** What is known of a boot at one look. */
export interface BootFacts extends InstanceFacts {
  readonly progress: BootProgress;
  /** The instance and its type. */
  readonly machine: string;
  readonly hostKeysExpected: boolean;
}

const has = ({ reached }: BootProgress, phase: BootPhase): boolean => reached.includes(phase);

/** Whether the image has shown all that is expected of it. */
export const bootSucceeded = ({ progress, hostKeysExpected }: BootFacts): boolean =>
  progress.failure === undefined &&
  has(progress, 'login') &&
  (!hostKeysExpected || has(progress, 'host-keys'));

/** Why an image does not pass; undefined while there is hope, and when it has passed. */
export function bootFailure(facts: BootFacts): FactoryError | undefined {
  const { progress, goneFor, lastWords, silentFor, secondsTaken, secondsAllowed } = facts;
  const fail = (code: ErrorCode, what: string) =>
    new FactoryError(code, {
      message: `the image on ${facts.machine} ${what}\nLast console lines:\n${progress.tail.join('\n') || '(none)'}`,
      remedy: `read the console kept in the artifacts bucket under ${facts.console}.`,
    });
  if (progress.failure) return fail(progress.failure.code, `failed to boot: ${progress.failure.line}`);
  if (bootSucceeded(facts)) return undefined;
  const late = secondsTaken > secondsAllowed;
  if (has(progress, 'login') && (silentFor > HOST_KEYS_GRACE || late)) {
    return fail(
      'BootNoHostKeys',
      'came to its login prompt without printing the fingerprints of its SSH host keys',
    );
  }
  if (goneFor >= GONE_POLLS) return fail('BootDied', `ended (${lastWords}) ${whereIn(progress)}`);
  if (!late) return undefined;
  return has(progress, 'firmware')
    ? fail(
        'BootTimedOut',
        `has no login prompt ${secondsAllowed} s after its launch; it was last seen ${whereIn(progress)}`,
      )
    : fail('BootSilent', `has printed nothing ${secondsAllowed} s after its launch`);
}

const whereIn = ({ reached }: BootProgress): string => {
  const last = reached.at(-1);
  if (last === undefined) return 'before its first line';
  return last === 'firmware' ? 'in firmware or loader' : `after ${last}`;
};
