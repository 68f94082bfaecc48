/**
 * One A4 sheet after the other: text in the report's fonts, page turns, badges.
 *
 * Trusts: nothing. May be called by: auditor/report/pdf.ts.
 */
import { BADGE_COLOURS, type BadgeCell, CONTENT_WIDTH, INK } from './document.ts';

export const MARGIN = { top: 52, bottom: 62, left: 54 } as const;
export const PAGE = { width: 595.28, height: 841.89 } as const;
export const BOTTOM = PAGE.height - MARGIN.bottom;
export const BODY = 9.4;
export const CELL = 8.4;

export type Weight = 'regular' | 'semibold';

export interface TextStyle {
  readonly size: number;
  readonly weight?: Weight;
  readonly colour?: string;
  readonly align?: 'left' | 'right';
  readonly lineGap?: number;
}

export class Sheet {
  readonly pdf: PDFKit.PDFDocument;
  y: number = MARGIN.top;

  constructor(pdf: PDFKit.PDFDocument) {
    this.pdf = pdf;
  }

  style({ size, weight = 'regular', colour = INK.text }: TextStyle): void {
    this.pdf.font(weight).fontSize(size).fillColor(colour);
  }

  heightOf(text: string, width: number, style: TextStyle): number {
    this.style(style);
    return this.pdf.heightOfString(text === '' ? ' ' : text, { width, lineGap: style.lineGap ?? 1.5 });
  }

  /** Draws at (x, y) without moving on. */
  textAt(text: string, x: number, y: number, width: number, style: TextStyle): void {
    this.style(style);
    this.pdf.text(text, x, y, { width, lineGap: style.lineGap ?? 1.5, align: style.align ?? 'left' });
  }

  /** A new page unless `height` fits on this one. */
  need(height: number): void {
    if (this.y + height > BOTTOM && this.y > MARGIN.top) this.newPage();
  }

  newPage(): void {
    this.pdf.addPage();
    this.y = MARGIN.top;
  }

  paragraph(text: string, style: TextStyle, after = 6): void {
    const height = this.heightOf(text, CONTENT_WIDTH, style);
    this.need(height);
    this.textAt(text, MARGIN.left, this.y, CONTENT_WIDTH, style);
    this.y += height + after;
  }

  rule(y: number, colour: string, width: number): void {
    const right = MARGIN.left + CONTENT_WIDTH;
    this.pdf.moveTo(MARGIN.left, y).lineTo(right, y).lineWidth(width).strokeColor(colour).stroke();
  }
}

/** Width and height of a badge, and how to draw it. */
export function badgeSize(sheet: Sheet, text: string): { width: number; height: number } {
  sheet.style({ size: 7.2, weight: 'semibold' });
  return { width: sheet.pdf.widthOfString(text) + 9, height: 13 };
}

export function drawBadge(sheet: Sheet, cell: BadgeCell, x: number, y: number): void {
  const { width, height } = badgeSize(sheet, cell.text);
  const [letters, ground] = BADGE_COLOURS[cell.badge];
  sheet.pdf.roundedRect(x, y, width, height, 2).fill(ground);
  sheet.textAt(cell.text, x + 4.5, y + 1.7, width, { size: 7.2, weight: 'semibold', colour: letters });
}
