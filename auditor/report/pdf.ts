/**
 * A report as PDF: A4, selectable text, embedded subsets of Noto Sans SC, page numbers.
 *
 * pdfkit draws; layout is ours. Equal documents give equal bytes (the date is the document's). Trusts: nothing.
 * May be called by: auditor/report/.
 */
import PDFDocument from 'pdfkit';
import {
  BADGE_COLOURS,
  type BadgeCell,
  type Block,
  type Cell,
  CONTENT_WIDTH,
  type Drawing,
  INK,
  isBadge,
  type ReportDocument,
  type TableColumn,
  textOfCell,
} from './document.ts';
import { reportFonts } from './fonts.ts';
import {
  BODY,
  BOTTOM,
  badgeSize,
  CELL,
  drawBadge,
  MARGIN,
  PAGE,
  Sheet,
  type TextStyle,
} from './pdf-sheet.ts';

const GUTTER = 7;

function drawTable(sheet: Sheet, columns: readonly TableColumn[], rows: readonly (readonly Cell[])[]): void {
  const widths = columns.map(({ width }) => width * CONTENT_WIDTH);
  const xs = widths.map((_, i) => MARGIN.left + widths.slice(0, i).reduce((a, b) => a + b, 0));
  const styleOf = (i: number, cell?: Cell): TextStyle => ({
    size: CELL,
    weight: columns[i]!.strong || typeof cell === 'object' ? 'semibold' : 'regular',
    align: columns[i]!.align ?? 'left',
  });
  const roomOf = (i: number): number => widths[i]! - (i === columns.length - 1 ? 0 : GUTTER);
  const headStyle = (i: number): TextStyle => ({
    size: 7.6,
    weight: 'semibold',
    colour: INK.soft,
    align: columns[i]!.align ?? 'left',
  });
  const headHeight = Math.max(
    ...columns.map(({ title }, i) => sheet.heightOf(title, roomOf(i), headStyle(i))),
  );
  const drawHead = () => {
    columns.forEach(({ title }, i) => {
      const top = sheet.y + headHeight - sheet.heightOf(title, roomOf(i), headStyle(i));
      sheet.textAt(title, xs[i]!, top, roomOf(i), headStyle(i));
    });
    sheet.y += headHeight + 3;
    sheet.rule(sheet.y, INK.text, 0.9);
    sheet.y += 4;
  };
  const heightOf = (row: readonly Cell[]): number =>
    Math.max(
      ...row.map((cell, i) =>
        isBadge(cell)
          ? badgeSize(sheet, cell.text).height
          : sheet.heightOf(textOfCell(cell), roomOf(i), styleOf(i, cell)),
      ),
    );
  const first = rows[0] === undefined ? 0 : heightOf(rows[0]);
  sheet.need(headHeight + first + 14);
  drawHead();
  for (const [at, row] of rows.entries()) {
    const height = heightOf(row);
    // The name of a group stays with its first row.
    const next = typeof row[0] === 'object' && 'strong' in row[0] ? rows[at + 1] : undefined;
    const together = height + (next === undefined ? 0 : heightOf(next) + 7);
    if (sheet.y + together + 7 > BOTTOM) {
      sheet.newPage();
      drawHead();
    }
    row.forEach((cell, i) => {
      if (isBadge(cell)) drawBadge(sheet, cell, xs[i]!, sheet.y - 0.5);
      else sheet.textAt(textOfCell(cell), xs[i]!, sheet.y, roomOf(i), styleOf(i, cell));
    });
    sheet.y += height + 3;
    sheet.rule(sheet.y, INK.line, 0.5);
    sheet.y += 4;
  }
  sheet.y += 8;
}

function drawShapes(sheet: Sheet, { shapes }: Drawing): void {
  const { pdf } = sheet;
  const [dx, dy] = [MARGIN.left, sheet.y];
  for (const shape of shapes) {
    if (shape.kind === 'text') {
      const style: TextStyle = {
        size: shape.size,
        weight: shape.strong ? 'semibold' : 'regular',
        colour: shape.colour,
      };
      sheet.style(style);
      const width = pdf.widthOfString(shape.text);
      const shift = { start: 0, middle: width / 2, end: width }[shape.anchor];
      pdf.text(shape.text, dx + shape.x - shift, dy + shape.y, { lineBreak: false, baseline: 'alphabetic' });
      continue;
    }
    shape.points.forEach(([x, y], i) => {
      if (i === 0) pdf.moveTo(dx + x, dy + y);
      else pdf.lineTo(dx + x, dy + y);
    });
    if (shape.kind === 'area') pdf.closePath().fill(shape.fill);
    else {
      pdf.lineWidth(shape.width).strokeColor(shape.colour);
      if (shape.dash) pdf.dash(4, { space: 3 });
      pdf.stroke();
      pdf.undash();
    }
  }
}

function drawFigure(sheet: Sheet, { title, unit, drawing }: Extract<Block, { type: 'figure' }>): void {
  sheet.need(drawing.height + (title === '' ? 8 : 34));
  if (title !== '') {
    sheet.textAt(title, MARGIN.left, sheet.y, CONTENT_WIDTH, { size: 9, weight: 'semibold' });
    sheet.y += 14;
    const style = { size: 7.8, colour: INK.soft };
    sheet.textAt(unit, MARGIN.left, sheet.y, CONTENT_WIDTH, style);
    sheet.y += sheet.heightOf(unit, CONTENT_WIDTH, style) + 5;
  }
  drawShapes(sheet, drawing);
  sheet.y += drawing.height + 14;
}

/** Name and value lines; the name in its own column. */
function drawPairs(
  sheet: Sheet,
  rows: readonly (readonly [string | BadgeCell, string])[],
  left: number,
): void {
  for (const [name, value] of rows) {
    const height = sheet.heightOf(value, CONTENT_WIDTH - left, { size: CELL + 0.2 });
    sheet.need(height + 3);
    if (typeof name === 'string')
      sheet.textAt(name, MARGIN.left, sheet.y, left - 8, { size: CELL + 0.2, colour: INK.soft });
    else drawBadge(sheet, name, MARGIN.left, sheet.y - 0.5);
    sheet.textAt(value, MARGIN.left + left, sheet.y, CONTENT_WIDTH - left, { size: CELL + 0.2 });
    sheet.y += Math.max(height, 12) + 3;
  }
  sheet.y += 7;
}

function drawTiles(sheet: Sheet, { tiles }: Extract<Block, { type: 'tiles' }>): void {
  const gap = 9;
  const width = (CONTENT_WIDTH - gap * (tiles.length - 1)) / tiles.length;
  const label: TextStyle = { size: 7.8, colour: INK.soft };
  const height = 42 + Math.max(...tiles.map((tile) => sheet.heightOf(tile.label, width - 18, label)));
  sheet.need(height);
  tiles.forEach((tile, i) => {
    const x = MARGIN.left + i * (width + gap);
    sheet.pdf.rect(x, sheet.y, width, height).fill(INK.ground);
    sheet.pdf.rect(x, sheet.y, width, 1.6).fill(INK.accent);
    sheet.textAt(tile.value, x + 9, sheet.y + 9, width - 18, { size: 15, weight: 'semibold' });
    sheet.textAt(tile.label, x + 9, sheet.y + 32, width - 18, label);
  });
  sheet.y += height + 14;
}

function drawVerdict(sheet: Sheet, { tone, title, text }: Extract<Block, { type: 'verdict' }>): void {
  const colour = tone === 'good' ? INK.good : INK.bad;
  const ground = BADGE_COLOURS[tone === 'good' ? 'checked' : 'error'][1];
  const width = CONTENT_WIDTH - 28;
  const body = sheet.heightOf(text, width, { size: BODY });
  const height = body + 38;
  sheet.y += 6;
  sheet.need(height);
  sheet.pdf.rect(MARGIN.left, sheet.y, CONTENT_WIDTH, height).fill(ground);
  sheet.pdf.rect(MARGIN.left, sheet.y, 3.5, height).fill(colour);
  sheet.textAt(title, MARGIN.left + 15, sheet.y + 9, width, { size: 13, weight: 'semibold', colour });
  sheet.textAt(text, MARGIN.left + 15, sheet.y + 29, width, { size: BODY });
  sheet.y += height + 12;
}

function drawHeading(
  sheet: Sheet,
  { level, text, tag, breakBefore }: Extract<Block, { type: 'heading' }>,
): void {
  const style: TextStyle =
    level === 1 ? { size: 14.5, weight: 'semibold' } : { size: 10, weight: 'semibold', colour: INK.accent };
  if (breakBefore && sheet.y > MARGIN.top) sheet.newPage();
  const tagWidth = tag === undefined ? 0 : badgeSize(sheet, tag).width + 8;
  const height = sheet.heightOf(text, CONTENT_WIDTH - tagWidth, style);
  // Never alone at the foot of a page.
  sheet.need(height + (level === 1 ? 100 : 80));
  if (sheet.y > MARGIN.top) {
    sheet.y += level === 1 ? 12 : 3;
    if (level === 1) {
      sheet.rule(sheet.y, INK.line, 0.7);
      sheet.y += 10;
    }
  }
  sheet.textAt(text, MARGIN.left, sheet.y, CONTENT_WIDTH - tagWidth, style);
  if (tag !== undefined)
    drawBadge(sheet, { badge: 'error', text: tag }, MARGIN.left + CONTENT_WIDTH - tagWidth + 8, sheet.y + 3);
  sheet.y += height + (level === 1 ? 7 : 4);
}

function drawCover(sheet: Sheet, { title, subtitle, period }: Extract<Block, { type: 'cover' }>): void {
  sheet.pdf.rect(MARGIN.left, sheet.y, CONTENT_WIDTH, 4).fill(INK.accent);
  sheet.y += 20;
  sheet.textAt(period, MARGIN.left, sheet.y + 4, CONTENT_WIDTH, {
    size: 14,
    weight: 'semibold',
    colour: INK.accent,
    align: 'right',
  });
  sheet.textAt(title, MARGIN.left, sheet.y, CONTENT_WIDTH - 90, { size: 23, weight: 'semibold' });
  sheet.y += 33;
  sheet.paragraph(subtitle, { size: 11, colour: INK.soft }, 16);
}

function drawSignature(sheet: Sheet, { text, fields }: Extract<Block, { type: 'signature' }>): void {
  const gap = 24;
  const width = (CONTENT_WIDTH - gap) / 2;
  const rows = Math.ceil(fields.length / 2);
  sheet.need(30 + rows * 62);
  sheet.paragraph(text, { size: BODY });
  fields.forEach((field, i) => {
    const x = MARGIN.left + (i % 2) * (width + gap);
    const y = sheet.y + 40 + Math.floor(i / 2) * 58;
    sheet.pdf
      .moveTo(x, y)
      .lineTo(x + width, y)
      .lineWidth(0.7)
      .strokeColor(INK.text)
      .stroke();
    sheet.textAt(field, x, y + 4, width, { size: 7.8, colour: INK.soft });
  });
  sheet.y += rows * 58 + 20;
}

function drawBlock(sheet: Sheet, block: Block): void {
  switch (block.type) {
    case 'cover':
      drawCover(sheet, block);
      break;
    case 'verdict':
      drawVerdict(sheet, block);
      break;
    case 'heading':
      drawHeading(sheet, block);
      break;
    case 'paragraph':
      sheet.paragraph(block.text, {
        size: BODY,
        weight: block.strong ? 'semibold' : 'regular',
        lineGap: 2.2,
      });
      break;
    case 'table':
      drawTable(sheet, block.columns, block.rows);
      break;
    case 'tiles':
      drawTiles(sheet, block);
      break;
    case 'facts':
      drawPairs(sheet, block.rows, 104);
      break;
    case 'legend':
      drawPairs(sheet, block.rows, 78);
      break;
    case 'figure':
      drawFigure(sheet, block);
      break;
    case 'list':
      for (const item of block.items) {
        const style = { size: BODY, lineGap: 2.2 };
        const height = sheet.heightOf(item, CONTENT_WIDTH - 14, style);
        sheet.need(height);
        sheet.pdf.circle(MARGIN.left + 3, sheet.y + 6, 1.5).fill(INK.accent);
        sheet.textAt(item, MARGIN.left + 14, sheet.y, CONTENT_WIDTH - 14, style);
        sheet.y += height + 4;
      }
      break;
    case 'signature':
      drawSignature(sheet, block);
      break;
  }
}

/** Resolves with the whole file. */
export async function renderPdf(document: ReportDocument): Promise<Uint8Array> {
  const date = new Date(document.madeMs);
  const pdf = new PDFDocument({
    size: 'A4',
    // Positions are ours; a bottom margin would let pdfkit turn pages by itself.
    margins: { top: 0, bottom: 0, left: 0, right: 0 },
    bufferPages: true,
    pdfVersion: '1.7',
    lang: document.language === 'zh' ? 'zh-CN' : 'en',
    displayTitle: true,
    font: '',
    info: {
      Title: document.title,
      Creator: 'pulsefold',
      Producer: 'pulsefold',
      CreationDate: date,
      ModDate: date,
    },
  });
  const chunks: Uint8Array[] = [];
  const finished = new Promise<void>((resolve, reject) => {
    pdf.on('data', (chunk: Uint8Array) => chunks.push(chunk));
    pdf.on('end', resolve);
    pdf.on('error', reject);
  });
  const fonts = reportFonts();
  pdf.registerFont('regular', fonts.regular);
  pdf.registerFont('semibold', fonts.semibold);
  const sheet = new Sheet(pdf);
  for (const block of document.blocks) drawBlock(sheet, block);
  const { count } = pdf.bufferedPageRange();
  for (let i = 0; i < count; i++) {
    pdf.switchToPage(i);
    const y = PAGE.height - 40;
    const style: TextStyle = { size: 7.6, colour: INK.soft };
    sheet.rule(y - 7, INK.line, 0.5);
    sheet.textAt(document.footer, MARGIN.left, y, CONTENT_WIDTH / 2, style);
    sheet.textAt(document.pageText(i + 1, count), MARGIN.left, y, CONTENT_WIDTH, {
      ...style,
      align: 'right',
    });
  }
  pdf.end();
  await finished;
  return new Uint8Array(Buffer.concat(chunks));
}
