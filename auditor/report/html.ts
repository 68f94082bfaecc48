/**
 * A report as one HTML file: no script, no network, all styles inside, print rules for A4.
 *
 * Everything that is not a tag of ours is escaped. Trusts: nothing. May be called by: auditor/report/.
 */
import {
  BADGE_COLOURS,
  type Block,
  type Cell,
  type Drawing,
  INK,
  isBadge,
  type ReportDocument,
  type Shape,
} from './document.ts';

const escaped = (text: string): string =>
  text.replace(
    /[&<>"']/g,
    (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c]!,
  );

const number = (value: number): string => String(Number(value.toFixed(2)));

function shapeOf(shape: Shape): string {
  if (shape.kind === 'text') {
    const weight = shape.strong ? ' font-weight="600"' : '';
    return `<text x="${number(shape.x)}" y="${number(shape.y)}" font-size="${shape.size}" fill="${shape.colour}" text-anchor="${shape.anchor}"${weight}>${escaped(shape.text)}</text>`;
  }
  const points = shape.points.map(([x, y]) => `${number(x)},${number(y)}`).join(' ');
  if (shape.kind === 'area') return `<polygon points="${points}" fill="${shape.fill}"/>`;
  const dash = shape.dash ? ' stroke-dasharray="4 3"' : '';
  return `<polyline points="${points}" fill="none" stroke="${shape.colour}" stroke-width="${shape.width}"${dash}/>`;
}

const svgOf = ({ width, height, label, shapes }: Drawing): string =>
  `<svg viewBox="0 0 ${number(width)} ${number(height)}" role="img" aria-label="${escaped(label)}">${shapes.map(shapeOf).join('')}</svg>`;

function cellOf(cell: Cell): string {
  if (isBadge(cell)) return `<span class="badge ${cell.badge}">${escaped(cell.text)}</span>`;
  return typeof cell === 'string' ? escaped(cell) : `<strong>${escaped(cell.strong)}</strong>`;
}

function tableOf({ columns, rows }: Extract<Block, { type: 'table' }>): string {
  const classOf = (i: number): string => {
    const column = columns[i];
    const names = [column?.align === 'right' ? 'right' : '', column?.strong ? 'strong' : ''];
    const given = names.filter((name) => name !== '').join(' ');
    return given === '' ? '' : ` class="${given}"`;
  };
  const widths = columns.map(({ width }) => `<col style="width:${number(width * 100)}%">`).join('');
  const head = columns.map(({ title }, i) => `<th scope="col"${classOf(i)}>${escaped(title)}</th>`).join('');
  const body = rows.map(
    (row) => `<tr>${row.map((cell, i) => `<td${classOf(i)}>${cellOf(cell)}</td>`).join('')}</tr>`,
  );
  return `<table><colgroup>${widths}</colgroup><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table>`;
}

function blockOf(block: Block): string {
  switch (block.type) {
    case 'cover':
      return `<header><p class="period">${escaped(block.period)}</p><h1>${escaped(block.title)}</h1><p class="subtitle">${escaped(block.subtitle)}</p></header>`;
    case 'verdict':
      return `<section class="verdict ${block.tone}"><p class="verdict-title">${escaped(block.title)}</p><p>${escaped(block.text)}</p></section>`;
    case 'heading': {
      const tag = block.tag === undefined ? '' : ` <span class="tag">${escaped(block.tag)}</span>`;
      const level = block.level + 1;
      return `<h${level}${block.breakBefore ? ' class="break"' : ''}>${escaped(block.text)}${tag}</h${level}>`;
    }
    case 'paragraph':
      return `<p${block.strong ? ' class="strong"' : ''}>${escaped(block.text)}</p>`;
    case 'table':
      return tableOf(block);
    case 'tiles':
      return `<div class="tiles">${block.tiles.map(({ value, label }) => `<div class="tile"><p class="value">${escaped(value)}</p><p>${escaped(label)}</p></div>`).join('')}</div>`;
    case 'facts':
      return `<dl>${block.rows.map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`).join('')}</dl>`;
    case 'legend':
      return `<dl class="legend">${block.rows.map(([cell, text]) => `<dt>${cellOf(cell)}</dt><dd>${escaped(text)}</dd>`).join('')}</dl>`;
    case 'figure': {
      const caption =
        block.title === ''
          ? ''
          : `<figcaption><strong>${escaped(block.title)}</strong> <span>${escaped(block.unit)}</span></figcaption>`;
      return `<figure>${caption}${svgOf(block.drawing)}</figure>`;
    }
    case 'list':
      return `<ul>${block.items.map((item) => `<li>${escaped(item)}</li>`).join('')}</ul>`;
    case 'signature':
      return `<section class="signature"><p>${escaped(block.text)}</p><div class="fields">${block.fields.map((field) => `<div><span></span><p>${escaped(field)}</p></div>`).join('')}</div></section>`;
  }
}

const badgeStyles = Object.entries(BADGE_COLOURS)
  .map(([name, [letters, ground]]) => `.badge.${name}{color:${letters};background:${ground}}`)
  .join('\n');

const style = (footer: string, language: string): string => `
:root{--text:${INK.text};--soft:${INK.soft};--line:${INK.line};--ground:${INK.ground};--accent:${INK.accent}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:40px 32px 64px;max-width:860px;color:var(--text);background:#fff;
font:${language === 'zh' ? '14.5px/1.75' : '14.5px/1.6'} Inter,"Noto Sans","Noto Sans SC","Noto Sans CJK SC","PingFang SC","Microsoft YaHei","Segoe UI",Helvetica,Arial,sans-serif;
font-variant-numeric:tabular-nums}
header{border-top:5px solid var(--accent);padding:26px 0 6px;margin-bottom:14px;position:relative}
h1{font-size:32px;line-height:1.25;margin:0;font-weight:600;letter-spacing:-.01em}
.subtitle{color:var(--soft);margin:6px 0 0;font-size:16px}
.period{position:absolute;right:0;top:26px;margin:0;color:var(--accent);font-weight:600;font-size:20px}
h2{font-size:20px;line-height:1.35;font-weight:600;margin:44px 0 12px;padding-top:14px;border-top:1px solid var(--line)}
h3{font-size:15px;font-weight:600;margin:26px 0 8px;color:var(--accent)}
p{margin:0 0 12px}
.strong,.right.strong{font-weight:600}
.tag{font-size:11px;font-weight:600;color:${INK.bad};border:1px solid currentColor;border-radius:3px;padding:2px 7px;margin-left:8px;vertical-align:3px;white-space:nowrap}
dl{display:grid;grid-template-columns:150px 1fr;gap:5px 18px;margin:0 0 18px;font-size:13.5px}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
dl.legend{grid-template-columns:110px 1fr;align-items:baseline}
.verdict{border-left:5px solid;padding:14px 18px 4px;margin:22px 0 8px}
.verdict.good{border-color:${INK.good};background:${BADGE_COLOURS.checked[1]}}
.verdict.bad{border-color:${INK.bad};background:${BADGE_COLOURS.error[1]}}
.verdict-title{font-size:18px;font-weight:600;margin-bottom:4px}
.verdict.good .verdict-title{color:${INK.good}}.verdict.bad .verdict-title{color:${INK.bad}}
table{width:100%;border-collapse:collapse;table-layout:fixed;margin:4px 0 20px;font-size:13px;line-height:1.5}
th{text-align:left;font-weight:600;color:var(--soft);border-bottom:1.5px solid var(--text);padding:6px 8px 6px 0;vertical-align:bottom}
td{white-space:pre-line;border-bottom:1px solid var(--line);padding:7px 8px 7px 0;vertical-align:top;overflow-wrap:anywhere}
th.right,td.right{text-align:right}td.strong{font-weight:600}
th:last-child,td:last-child{padding-right:0}
.badge{display:inline-block;border-radius:3px;padding:1px 7px;font-size:11px;font-weight:600;white-space:nowrap}
${badgeStyles}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:12px;margin:4px 0 20px}
.tile{background:var(--ground);padding:14px 14px 4px;border-top:2px solid var(--accent)}
.tile p{font-size:12.5px;line-height:1.45;color:var(--soft)}
.tile .value{font-size:24px;line-height:1.2;font-weight:600;color:var(--text);margin-bottom:4px}
figure{margin:16px 0 26px}
figcaption{font-size:13px;margin-bottom:8px}figcaption span{color:var(--soft)}
svg{width:100%;height:auto;display:block;font-family:inherit}
ul{margin:0 0 16px;padding-left:20px}li{margin-bottom:6px}
.signature .fields{display:grid;grid-template-columns:1fr 1fr;gap:34px 28px;margin-top:44px}
.signature span{display:block;border-bottom:1px solid var(--text);height:1px}
.signature .fields p{font-size:12px;color:var(--soft);margin:5px 0 0}
@media (max-width:640px){.tiles{grid-template-columns:1fr 1fr}dl,dl.legend{grid-template-columns:1fr}body{padding:24px 16px}}
@page{size:A4;margin:18mm 17mm 20mm;
@bottom-left{content:${JSON.stringify(footer)};font:8pt sans-serif;color:${INK.soft}}
@bottom-right{content:counter(page) " / " counter(pages);font:8pt sans-serif;color:${INK.soft}}}
@media print{body{padding:0;max-width:none;font-size:9.6pt}
h1{font-size:24pt}h2{font-size:14pt;margin-top:20pt}h3{font-size:10.5pt}
h2.break{break-before:page;border-top:none;padding-top:0;margin-top:0}
h2,h3,figcaption{break-after:avoid}tr,figure,.tile,.verdict,.signature,li{break-inside:avoid}
thead{display:table-header-group}table{font-size:8.8pt}dl{font-size:9pt}.tile .value{font-size:16pt}
.badge,.tile p{font-size:8pt}.tag{font-size:7.5pt}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
`;

export function renderHtml(document: ReportDocument): string {
  const { language, title, blocks, footer } = document;
  const lang = language === 'zh' ? 'zh-CN' : 'en';
  return `<!doctype html>
<html lang="${lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="robots" content="noindex">
<title>${escaped(title)}</title>
<style>${style(footer, language)}</style>
</head>
<body>
<main>
${blocks.map(blockOf).join('\n')}
</main>
</body>
</html>
`;
}
