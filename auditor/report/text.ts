/**
 * Two languages side by side, so that neither can lack a sentence, and filling of `{names}`.
 *
 * Trusts: nothing. May be called by: auditor/report/.
 */
import { PulsefoldError } from '../../crypto/error.ts';

export const LANGUAGES = ['en', 'zh'] as const;
export type Language = (typeof LANGUAGES)[number];

export interface Pair {
  readonly en: string;
  readonly zh: string;
}

export const pair = (en: string, zh: string): Pair => ({ en, zh });

export type Values = Readonly<Record<string, string | number>>;

/** Throws INTERNAL for a name without a value: a report never shows a hole. */
export function fill(text: Pair, language: Language, values: Values = {}): string {
  return text[language].replace(/\{([a-zA-Z0-9]+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new PulsefoldError('INTERNAL', `a report text asks for {${name}}`);
    return String(value);
  });
}

/** Names in braces of one language, sorted. */
export const placeholdersOf = (text: string): string[] =>
  [...new Set([...text.matchAll(/\{([a-zA-Z0-9]+)\}/g)].map((match) => match[1]!))].sort();

export const isPair = (value: unknown): value is Pair =>
  typeof value === 'object' && value !== null && 'en' in value && 'zh' in value;
