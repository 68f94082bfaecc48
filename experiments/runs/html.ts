/**
 * The frame of a page: one self-contained HTML file, light or dark as the reader's system is, printable, no script.
 *
 * Everything that is not a tag of ours is escaped. Pure. May be called by: experiments/runs.
 */
import { escaped } from '../bench/svg.ts';

export interface TableColumn {
  readonly title: string;
  readonly isNumber?: boolean;
}

export const table = (columns: readonly TableColumn[], rows: readonly (readonly string[])[]): string => {
  const align = (i: number): string => (columns[i]?.isNumber ? ' class="number"' : '');
  const head = columns.map(({ title }, i) => `<th scope="col"${align(i)}>${escaped(title)}</th>`).join('');
  const body = rows.map(
    (row) => `<tr>${row.map((cell, i) => `<td${align(i)}>${escaped(cell)}</td>`).join('')}</tr>`,
  );
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>\n${body.join('\n')}\n</tbody></table></div>`;
};

export const facts = (rows: readonly (readonly [string, string])[]): string =>
  `<dl>${rows.map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`).join('')}</dl>`;

export const tiles = (rows: readonly (readonly [string, string])[]): string =>
  `<div class="tiles">${rows
    .map(
      ([name, value]) =>
        `<div class="tile"><p class="value">${escaped(value)}</p><p>${escaped(name)}</p></div>`,
    )
    .join('')}</div>`;

export const heading = (text: string): string => `<h2>${escaped(text)}</h2>`;
export const paragraph = (text: string, className = ''): string =>
  `<p${className === '' ? '' : ` class="${className}"`}>${escaped(text)}</p>`;
/** `svg` is ours (charts.ts). */
export const figure = (svg: string): string => `<figure>${svg}</figure>`;
export const code = (text: string): string => `<pre><code>${escaped(text)}</code></pre>`;
/** Paths of ours, next to the page. */
export const links = (rows: readonly (readonly [string, string])[]): string =>
  `<ul>${rows.map(([file, text]) => `<li><a href="${escaped(file)}">${escaped(file)}</a> ${escaped(text)}</li>`).join('')}</ul>`;

const STYLE = `
:root{color-scheme:light dark;--ground:#fff;--panel:#f4f6f8;--ink:#1c2430;--soft:#5b6675;--line:#dde2e8;--accent:#0067a5;--mark:#9a5b00;--mark-ground:#fff4df}
@media (prefers-color-scheme:dark){:root{--ground:#14181e;--panel:#1c222b;--ink:#e6eaf0;--soft:#98a3b3;--line:#2e3743;--accent:#62b4ea;--mark:#f0c274;--mark-ground:#33291a}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:36px 28px 64px;max-width:960px;color:var(--ink);background:var(--ground);
font:15px/1.6 Inter,"Segoe UI",Helvetica,Arial,sans-serif;font-variant-numeric:tabular-nums}
header{border-top:4px solid var(--accent);padding-top:20px}
h1{font-size:28px;line-height:1.25;font-weight:600;margin:0 0 8px;overflow-wrap:anywhere}
h2{font-size:19px;font-weight:600;margin:40px 0 12px}
p{margin:0 0 12px}.soft{color:var(--soft)}
.mark{color:var(--mark);background:var(--mark-ground);border-radius:4px;padding:8px 12px;font-size:14px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(132px,1fr));gap:12px;margin:20px 0}
.tile{background:var(--panel);border-radius:6px;padding:14px 16px 6px}
.tile p{font-size:13px;line-height:1.4;color:var(--soft);margin-bottom:8px;overflow-wrap:anywhere}
.tile .value{font-size:22px;line-height:1.2;font-weight:600;color:var(--ink);margin-bottom:4px;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:0 0 16px}
table{width:100%;border-collapse:collapse;font-size:13.5px}
th{text-align:left;font-weight:600;color:var(--soft);border-bottom:1.5px solid var(--ink);padding:6px 14px 6px 0;vertical-align:bottom}
td{border-bottom:1px solid var(--line);padding:7px 14px 7px 0;vertical-align:top;white-space:nowrap}
td:first-child{white-space:normal;min-width:120px}
.number{text-align:right}th:last-child,td:last-child{padding-right:0}
dl{display:grid;grid-template-columns:170px 1fr;gap:5px 18px;margin:0 0 18px;font-size:14px}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
figure{margin:0 0 28px;border:1px solid var(--line);border-radius:6px;overflow:hidden}
figure svg{display:block;width:100%;height:auto}
pre{background:var(--panel);border-radius:6px;padding:14px 16px;overflow-x:auto;font:12.5px/1.55 ui-monospace,Menlo,Consolas,monospace}
a{color:var(--accent)}ul{margin:0 0 16px;padding-left:20px}
footer{margin-top:48px;padding-top:12px;border-top:1px solid var(--line);font-size:13px;color:var(--soft)}
@media (max-width:640px){body{padding:20px 16px 40px}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}}
@media print{body{max-width:none;padding:0;font-size:10pt}figure,.tile,tr{break-inside:avoid}h2{break-after:avoid}}
`;

export const page = (title: string, parts: readonly string[]): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="robots" content="noindex">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${parts.filter((part) => part !== '').join('\n')}
</main>
</body>
</html>
`;
