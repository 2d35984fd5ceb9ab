const ESC = String.fromCharCode(0x1b);
/** Control sequences of terminals (ECMA-48, 5.4), titles (OSC) and lone escapes. */
const sequences = new RegExp(
  `${ESC}\\[[0-?]*[ -/]*[@-~]|${ESC}\\][^\\u0007${ESC}]*(?:\\u0007|${ESC}\\\\)|${ESC}[ -/]*[0-~]`,
  'g',
);
const controls = /(?!\t)\p{Cc}/gu;

/** The lines of a serial console as people read them: no colours, no bells, and of what was written over itself the last. */
export function consoleLines(text: string): string[] {
  const lines = text
    .replace(sequences, '')
    .split(/\r*\n/)
    .map((line) => line.slice(line.lastIndexOf('\r') + 1).replace(controls, ''));
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Lines are the same to a reader whatever blanks surround them. */
const plain = (line: string): string => line.trim();

/** The numbers of the lines that decided; the last of equal ones, as a console may say a thing twice before it matters. */
export function decisiveLines(lines: readonly string[], decisive: readonly string[]): ReadonlySet<number> {
  const found = new Set<number>();
  for (const wanted of decisive.map(plain)) {
    if (wanted === '') continue;
    // What decided may have been cut for its reader.
    const at = lines.findLastIndex(
      (line) => plain(line) === wanted || (wanted.length > 40 && line.includes(wanted)),
    );
    if (at >= 0) found.add(at);
  }
  return found;
}
