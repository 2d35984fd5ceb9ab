/** Columns side by side; the last is as long as it is. */
export function columns(rows: readonly (readonly string[])[], indent: string): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    `${indent}${row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('  ')}`.trimEnd(),
  );
}

const LABEL = 14;

/** Lines of a terminal stay within this. */
const WIDTH = 110;

const marked = (label: string, lines: readonly string[]): string[] =>
  lines.map((line, index) => `  ${(index === 0 ? label : '').padEnd(LABEL)}${line}`);

/** `label  items`, an item a line. */
export const listed = (label: string, items: readonly string[]): string[] => marked(label, items);

/** `label  item, item, item`, wrapped between items; nothing if there are none. */
export function labelled(label: string, items: readonly string[]): string[] {
  const lines: string[] = [];
  for (const [index, item] of items.entries()) {
    const text = index === items.length - 1 ? item : `${item},`;
    const line = lines.at(-1);
    if (line !== undefined && LABEL + 3 + line.length + text.length <= WIDTH)
      lines[lines.length - 1] = `${line} ${text}`;
    else lines.push(text);
  }
  return marked(label, lines);
}

/** `label  text`, wrapped between words. */
export function paragraph(label: string, text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line === '' || LABEL + 3 + line.length + word.length <= WIDTH)
      lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
    else lines.push(word);
  }
  return marked(label, lines);
}
