import { stripVTControlCharacters } from 'node:util';

/** Lines of a console that a cause shows: enough for a panic's trace, and far below a cause's 32 KiB. */
const TAIL_LINES = 20;
/** Characters of such a line: a console whose lines never end, or a report, must not fill the cause alone. */
const TAIL_LINE_LENGTH = 200;

/** Control sequences with a private mark, which FreeBSD's loader uses and stripVTControlCharacters takes in part (ECMA-48, 5.4). */
const privateSequence = new RegExp(`${String.fromCharCode(0x1b)}\\[[<=>?][0-9;]*[A-Za-z]`, 'g');
const control = /(?!\t)\p{Cc}/gu;

/** The lines of a serial console, without colour codes. Lines may end in any mix of CR and LF. */
export const consoleLines = (text: string): string[] =>
  stripVTControlCharacters(text.replaceAll(privateSequence, '')).split(/\r*\n/);

/** A line as a reader of a failure gets it. */
export const forReading = (line: string): string => line.replaceAll(control, '').slice(0, TAIL_LINE_LENGTH);

/** The last lines that say something, for a reader of a failure. */
export const consoleTail = (lines: readonly string[]): string[] =>
  lines
    .filter((line) => line.trim() !== '')
    .slice(-TAIL_LINES)
    .map(forReading);

/** A shorter overlap of two windows is an accident: half a line of a kernel. */
const LEAST_OVERLAP = 32;

/**
 * What `now` has beyond `before`: two looks at one console that is shown as a window on its last part, so the second may have lost its
 * front, and lag behind the first. `missed`: the windows do not touch, and what stood between them is lost.
 */
export function textAfter(before: string, now: string): { readonly text: string; readonly missed: boolean } {
  if (before === '') return { text: now, missed: false };
  if (before.includes(now)) return { text: '', missed: false };
  // A window of bytes may begin in the middle of a character.
  const window = now.replace(/^\uFFFD+/, '');
  const overlap = overlapOf(before.slice(-window.length), window);
  const missed = overlap < Math.min(LEAST_OVERLAP, before.length);
  return missed ? { text: now, missed } : { text: window.slice(overlap), missed };
}

/** Length of the longest end of `first` that `second` begins with (Knuth, Morris and Pratt: consoles repeat themselves). */
function overlapOf(first: string, second: string): number {
  const failure = new Uint32Array(second.length);
  let length = 0;
  for (let at = 1; at < second.length; at++) {
    while (length > 0 && second[at] !== second[length]) length = failure[length - 1] ?? 0;
    if (second[at] === second[length]) length++;
    failure[at] = length;
  }
  length = 0;
  for (const unit of first.split('')) {
    if (length === second.length) length = failure[length - 1] ?? 0;
    while (length > 0 && unit !== second[length]) length = failure[length - 1] ?? 0;
    if (unit === second[length]) length++;
  }
  return length;
}
