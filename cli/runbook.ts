/** The entries of docs/runbook.md by their anchors, which are the codes of errors; their text is Markdown without the heading. */
export function runbookEntries(markdown: string): Record<string, string> {
  const [, ...sections] = markdown.split(/^## /m);
  return Object.fromEntries(
    sections.map((section) => {
      const end = section.indexOf('\n');
      return [section.slice(0, end).trim(), section.slice(end).trim()];
    }),
  );
}
