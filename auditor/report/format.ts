/**
 * Numbers and times as a report writes them. Trusts: nothing. May be called by: auditor/report/.
 */

/** Three decimals, rounded up: what is printed is never below what was computed. */
export const epsilonText = (epsilon: number): string =>
  Number.isFinite(epsilon) ? (Math.ceil(epsilon * 1000 - 1e-6) / 1000).toFixed(3) : '∞';

/** Largest belief, in per cent, that even odds can be driven to: e^ε/(1+e^ε), rounded up to one decimal. */
export const beliefPercent = (epsilon: number): string =>
  Math.min(
    100,
    Math.ceil((1000 * Math.exp(Math.min(epsilon, 700))) / (1 + Math.exp(Math.min(epsilon, 700)))) / 10,
  ).toFixed(1);

/** `2026-11-22 05:02`, UTC. */
export const timeText = (timeMs: number): string => {
  const date = new Date(timeMs);
  return Number.isNaN(date.getTime()) ? '–' : date.toISOString().slice(0, 16).replace('T', ' ');
};
export const dayText = (timeMs: number): string => timeText(timeMs).slice(0, 10);

/** Five significant digits of a rational or decimal, as it stands where that is short. */
export const amountText = (value: number): string =>
  Number.isFinite(value) ? String(Number(value.toPrecision(6))) : '∞';

/** `0.00001` rather than `1e-5`. */
export const smallText = (value: number): string =>
  value >= 1e-6 && value < 1 ? String(Number(value.toFixed(12))) : String(value);
