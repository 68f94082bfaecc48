/**
 * Public face of the threshold BFV cipher (ShortSum `bfv`, DESIGN §4); roles import this and ceremony.ts only.
 *
 * Trust: a curious coordinator and up to threshold − 1 holders learn nothing but opened sums, as long as clients'
 * ciphertexts are well formed. One client with a crafted c1 can, together with the coordinator, open that one round;
 * hence one committee key per round. A holder that lies in a partial decryption can shift an opened sum or make it
 * fail, never read more.
 */
export type { PartAccumulator } from '../he/accumulator.ts';
export { type Bfv, loadBfv, type PartKind } from '../he/bfv.ts';
export {
  type BfvParameters,
  bfv4096,
  contributionsMax,
  digitCountMax,
  holderCountMax,
} from '../he/parameters.ts';
export type { OpenInput, PartialInput } from '../he/partial.ts';
