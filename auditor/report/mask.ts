/**
 * What may stand in a report: no name of a device, person, machine or file. Free text of plans and messages is scrubbed,
 * keys and ids are shortened to fingerprints; only hashes of public evidence stand in full.
 *
 * Scrubbing guesses by form, so it masks too much rather than too little. Trusts: nothing. May be called by:
 * auditor/report/.
 */

/** Stands where something was masked. */
export const MASK = '■■■';
const TEXT_LENGTH_MAX = 1000;

/** Most specific first; what one has replaced, the next does not see. */
const PATTERNS: readonly RegExp[] = [
  // Addresses of the web and of mail, with everything up to the next space.
  /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s"'<>]+/gi,
  /[\p{L}\p{N}._%+-]+@[\p{L}\p{N}.-]+/gu,
  // Files: C:\…, \\host\…, ~/…, ./…, /a/b and /a
  /\b[a-z]:\\[^\s"'<>]*/gi,
  /\\\\[^\s"'<>]+/g,
  /(?<![\p{L}\p{N}])(?:~|\.{1,2})?\/[^\s"'<>/][^\s"'<>]*/gu,
  // IPv6 with or without port, then IPv4.
  /(?<![\p{L}\p{N}:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%[\w]+)?(?![\p{L}\p{N}:])/giu,
  /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\d.])/g,
  // Names of hosts: labels with dots that end in letters (not the files of a run directory), or a name with a port.
  /(?<![\p{L}\p{N}])(?!(?:plan|approvals|model|ledger|leaves|\d{1,6})\.(?:json|ndjson)(?![\p{L}\p{N}]))[a-z0-9](?:[a-z0-9-]{0,62}\.)+[a-z]{2,24}(?::\d{1,5})?(?![\p{L}\p{N}])/giu,
  /\b(?:localhost|[a-z][a-z0-9-]*\d[a-z0-9-]*):\d{2,5}\b/gi,
  /\blocalhost\b/gi,
  // Hexadecimal ids, UUIDs, MAC addresses, and numbers as long as a telephone's or an identity card's.
  /\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/gi,
  /\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b/gi,
  /(?<![\p{L}\p{N}.])[0-9a-f]{12,}(?![\p{L}\p{N}])/giu,
  /(?<![\d.])\+?\d(?:[\s-]?\d){6,}[\dX]?/g,
];

/** Free text without what looks like an identifier, on one line, at most 1000 characters. */
export function scrub(text: string): string {
  const flat = text.replace(/[\p{Cc}\p{Cf}\p{Bidi_Control}\s]+/gu, ' ').trim();
  const cut = flat.length > TEXT_LENGTH_MAX ? `${flat.slice(0, TEXT_LENGTH_MAX)}…` : flat;
  return PATTERNS.reduce((result, pattern) => result.replace(pattern, MASK), cut);
}

/**
 * A name that plans give to a party: shown as a letter and the first 8 digits of its key, so that whoever has the plan
 * can find it there and nobody else learns a name.
 */
export const fingerprint = (publicKeyHex: string): string => {
  // Keys of the gm suite begin with the 04 of an uncompressed point.
  const digits = publicKeyHex.length === 130 ? publicKeyHex.slice(2) : publicKeyHex;
  return digits.slice(0, 8);
};

/** Column and data set names: a word is kept, what looks like an identifier is not. */
export const scrubName = (name: string): string => scrub(name.slice(0, 64));
