/**
 * What the figures of the benchmarks share: text in SVG, and the frame around a plot.
 *
 * No dependency and no script; white ground, so that a figure reads the same on light and dark pages. Pure: returns text.
 * May be called by: plot.ts, plot-lines.ts.
 */

export const FIGURE_WIDTH = 860;
const FONT = 'font-family="Helvetica, Arial, sans-serif"';

export const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);

export const text = (x: number, y: number, content: string, attributes = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(content)}</text>`;

/** Breaks at spaces; the widths of Helvetica are about half the size of the type. */
export function lines(content: string, charactersMax: number): string[] {
  const result = [''];
  for (const word of content.split(' ')) {
    const longer = `${result.at(-1)} ${word}`.trim();
    if (longer.length > charactersMax) result.push(word);
    else result[result.length - 1] = longer;
  }
  return result;
}

/** A whole document: ground and what stands on it, named by its title. */
export const figure = (title: string, height: number, parts: readonly string[]): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${FIGURE_WIDTH} ${height}" width="${FIGURE_WIDTH}" height="${height}" ` +
      `role="img" aria-label="${escaped(title)}" ${FONT} font-size="12">`,
    `<rect width="${FIGURE_WIDTH}" height="${height}" fill="#fff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
