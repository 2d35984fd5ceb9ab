/**
 * The line of a recipe's text on which a field stands (`users.0.name`), counted from 1, as far as the layout of the YAML tells; that of its
 * nearest parent when it is missing; undefined when nothing of it is there. Good enough to take a cursor there, and nothing else relies on it.
 */
export function lineOfField(text: string, field: string): number | undefined {
  const lines = text.split('\n');
  let found: number | undefined;
  let from = 0;
  let indent = -1;
  for (const key of field.split('.')) {
    const at = /^\d+$/.test(key)
      ? itemLine(lines, from, indent, Number(key))
      : keyLine(lines, from, indent, key);
    if (at === undefined) break;
    found = at.line;
    from = at.next;
    indent = at.indent;
  }
  return found === undefined ? undefined : found + 1;
}

interface Found {
  readonly line: number;
  /** Where to go on, and how far what belongs to it is indented at least. */
  readonly next: number;
  readonly indent: number;
}

/** Dashes of a list count as indentation: `  - name: x` has its key at column 4. */
const columnOf = (line: string): number => /^[\s-]*/.exec(line)?.[0].length ?? 0;
const says = (line: string): boolean => !/^\s*(#|$)/.test(line);

function keyLine(lines: readonly string[], from: number, indent: number, key: string): Found | undefined {
  for (let line = from; line < lines.length; line++) {
    const text = lines[line] ?? '';
    if (!says(text)) continue;
    const column = columnOf(text);
    if (column <= indent && line > from) return undefined;
    const name = text.slice(column).match(/^["']?([^"':]+)["']?\s*:/)?.[1];
    if (name === key && column > indent) return { line, next: line + 1, indent: column };
  }
  return undefined;
}

function itemLine(lines: readonly string[], from: number, indent: number, index: number): Found | undefined {
  let dash: number | undefined;
  let seen = -1;
  for (let line = from; line < lines.length; line++) {
    const text = lines[line] ?? '';
    if (!says(text)) continue;
    const column = text.search(/\S/);
    if (text[column] !== '-') {
      if (column <= indent) return undefined;
      continue;
    }
    dash ??= column;
    if (column < dash) return undefined;
    if (column === dash && ++seen === index) return { line, next: line, indent: column };
  }
  return undefined;
}
