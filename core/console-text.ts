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
