/**
 * A report between content and form: blocks of text, tables and drawings, in one language. HTML, PDF and JSON are made
 * of the same blocks, so they cannot say different things.
 *
 * Trusts: nothing. May be called by: auditor/report/.
 */
import type { Language } from './text.ts';
import type { Basis } from './text-technical.ts';

/** `doubt`: would be checked, if the plan's audit did not fail. */
export type Badge = Basis | 'doubt' | 'error' | 'warning';

export interface BadgeCell {
  readonly badge: Badge;
  readonly text: string;
}
export interface StrongCell {
  readonly strong: string;
}
export type Cell = string | BadgeCell | StrongCell;

/** Text of a cell that is not a badge. */
export const textOfCell = (cell: string | StrongCell): string =>
  typeof cell === 'string' ? cell : cell.strong;
export const isBadge = (cell: Cell): cell is BadgeCell => typeof cell !== 'string' && 'badge' in cell;

export interface TableColumn {
  readonly title: string;
  /** Share of the width; all together 1. */
  readonly width: number;
  readonly align?: 'left' | 'right';
  readonly strong?: boolean;
}

/** Points (1/72 inch), from the top left. */
export type Shape =
  | {
      readonly kind: 'line';
      readonly points: readonly (readonly [number, number])[];
      readonly colour: string;
      readonly width: number;
      readonly dash?: boolean;
    }
  | {
      readonly kind: 'area';
      readonly points: readonly (readonly [number, number])[];
      readonly fill: string;
    }
  | {
      readonly kind: 'text';
      readonly x: number;
      /** Baseline. */
      readonly y: number;
      readonly text: string;
      readonly size: number;
      readonly anchor: 'start' | 'middle' | 'end';
      readonly colour: string;
      readonly strong?: boolean;
    };

export interface Drawing {
  readonly width: number;
  readonly height: number;
  /** Says in words what is drawn. */
  readonly label: string;
  readonly shapes: readonly Shape[];
}

export type Block =
  | { readonly type: 'cover'; readonly title: string; readonly subtitle: string; readonly period: string }
  | {
      readonly type: 'verdict';
      readonly tone: 'good' | 'bad';
      readonly title: string;
      readonly text: string;
    }
  | {
      readonly type: 'heading';
      readonly level: 1 | 2;
      readonly text: string;
      /** A reminder beside it, such as "Have counsel check". */
      readonly tag?: string;
      readonly breakBefore?: boolean;
    }
  | { readonly type: 'paragraph'; readonly text: string; readonly strong?: boolean }
  | {
      readonly type: 'table';
      readonly columns: readonly TableColumn[];
      readonly rows: readonly (readonly Cell[])[];
    }
  | {
      readonly type: 'tiles';
      readonly tiles: readonly { readonly value: string; readonly label: string }[];
    }
  | { readonly type: 'facts'; readonly rows: readonly (readonly [string, string])[] }
  | { readonly type: 'legend'; readonly rows: readonly (readonly [BadgeCell, string])[] }
  | { readonly type: 'figure'; readonly title: string; readonly unit: string; readonly drawing: Drawing }
  | { readonly type: 'list'; readonly items: readonly string[] }
  | { readonly type: 'signature'; readonly text: string; readonly fields: readonly string[] };

export interface ReportDocument {
  readonly language: Language;
  readonly title: string;
  readonly footer: string;
  /** "Page {page} of {pages}" of the language. */
  readonly pageText: (page: number, pages: number) => string;
  readonly madeMs: number;
  readonly blocks: readonly Block[];
}

/** Width between the margins of an A4 page, in points. */
export const CONTENT_WIDTH = 487;
export const INK = {
  text: '#1d2733',
  soft: '#5d6b7a',
  line: '#d5dbe2',
  ground: '#f4f6f8',
  accent: '#0b5d6b',
  accentSoft: '#cfe3e6',
  good: '#0f6b4f',
  bad: '#a01f24',
} as const;

/** Colour of the letters and of the ground of each badge. */
export const BADGE_COLOURS: Readonly<Record<Badge, readonly [string, string]>> = {
  checked: ['#0f6b4f', '#dff2e9'],
  attested: ['#855400', '#fcefd2'],
  declared: ['#34496b', '#e5ebf4'],
  open: ['#5d6b7a', '#eef0f3'],
  doubt: ['#a01f24', '#fae3e3'],
  error: ['#a01f24', '#fae3e3'],
  warning: ['#855400', '#fcefd2'],
};

/** Lines of colour for several plans in one chart. */
export const SERIES: readonly string[] = ['#0b5d6b', '#b8612b', '#5b4b9a', '#7a8a1f', '#9a2f5f', '#3f6fb0'];
