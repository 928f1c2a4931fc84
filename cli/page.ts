// What the HTML pages share: look, tables, escaping. A page needs nothing else: no script, no file, no address.

export const STYLE = `
:root { color-scheme: light; }
body { font: 14px/1.45 system-ui, sans-serif; color: #1c2024; max-width: 1240px; margin: 24px auto; padding: 0 20px; }
h1 small { font-size: 15px; font-weight: normal; color: #666; }
h2 { margin-top: 32px; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; font-size: 13px; margin: 8px 0 18px; }
th, td { text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid #eee; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { background: #f6f7f9; padding: 10px; overflow-x: auto; font-size: 12px; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 11px system-ui, sans-serif; fill: #333; }
svg .in { font-size: 9px; fill: #10141a; pointer-events: none; }
svg .soft { fill: #777; font-size: 10px; }
svg rect { stroke: #fff; stroke-width: .3; }
svg rect:hover { stroke: #000; stroke-width: 1; }
svg .ground { fill: #f3f4f6; stroke: #ddd; }
svg .arena { stroke: #333; stroke-dasharray: 4 3; }
svg .tick { stroke: #888; }
svg .without { fill: none; stroke: #b4421f; stroke-dasharray: 4 3; }
svg .live { fill: #9db8dd; stroke: #1f5fb4; stroke-width: .7; }
`;

/** `numbers`: columns that are set to the right. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  numbers: readonly number[],
): string {
  const kind = (i: number) => (numbers.includes(i) ? ' class="n"' : '');
  return [
    '<table>',
    `<tr>${head.map((h, i) => `<th${kind(i)}>${xml(h)}</th>`).join('')}</tr>`,
    ...rows.map((r) => `<tr>${r.map((c, i) => `<td${kind(i)}>${c}</td>`).join('')}</tr>`),
    '</table>',
  ].join('\n');
}

export const xml = (s: string): string =>
  s.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
