// Parts of a page that a command writes: what stands between `<!-- NAME: begin … -->` and `<!-- NAME: end -->`.

/** @throws Error where the page has no such part */
export function replaceSection(page: string, name: string, body: string): string {
  const begin = new RegExp(`<!-- ${name}: begin[^>]*-->`).exec(page);
  const end = page.indexOf(`<!-- ${name}: end -->`);
  if (!begin || end < begin.index)
    throw new Error(`the page has no lines <!-- ${name}: begin --> and <!-- ${name}: end -->`);
  const start = begin.index + begin[0].length;
  return `${page.slice(0, start)}\n\n${body.trim()}\n\n${page.slice(end)}`;
}

/** Rows of cells as a Markdown table; `align` has an r for columns of numbers. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[], align: string): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, i) => (align[i] === 'r' ? '---:' : '---'));
  return [line(head), `|${rule.join('|')}|`, ...rows.map(line)].join('\n');
}
