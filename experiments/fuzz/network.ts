/**
 * The network between the parties: calls that take time, get lost, come twice, late, out of order or changed.
 *
 * Messages are copied at both ends, as a wire would. Whoever calls a dead process sees its connection break; a dead
 * caller hears nothing any more. Trusts: nothing. May be called by: experiments/fuzz.
 */
import { isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import { type Life, never } from './life.ts';
import type { NetworkFault } from './ops.ts';
import type { VirtualTime } from './virtual-time.ts';

/** One way, in milliseconds: holders sit in data centres, phones do not, and no two of them are equally far. */
const latencyOf = (link: string): number => {
  const index = Number(link.at(-1));
  if (link.startsWith('witness')) return 15 + 10 * index;
  return link.startsWith('holder') ? 2 + 2 * index : 6 + 4 * index;
};
/** A peer that vanished is noticed after this long. */
const LOST_MS = 400;

interface ArmedFault {
  readonly fault: NetworkFault;
  readonly amount: number;
  left: number;
}

export interface Call {
  /** The device, holder or witness at the other end from the coordinator. */
  readonly link: string;
  readonly method: string;
  readonly request: unknown;
  readonly caller: Life;
  readonly deadlineMs: number;
  /** The life that answers now; undefined while the process is down. */
  readonly callee: () => Life | undefined;
  /** Carries out the request. */
  readonly handle: (request: unknown) => Promise<unknown>;
}

export interface NetworkWatch {
  readonly onFault: (fault: NetworkFault, link: string) => void;
  /** Every message that leaves a party: requests and answers alike. */
  readonly onMessage: (from: 'caller' | 'callee', call: Call, message: unknown) => void;
  /** A handler failed with something that is no coded error. */
  readonly onInternalError: (call: Call, error: unknown) => void;
}

export class Network {
  readonly #time: VirtualTime;
  readonly #watch: NetworkWatch;
  readonly #faults = new Map<string, ArmedFault[]>();

  constructor(time: VirtualTime, watch: NetworkWatch) {
    this.#time = time;
    this.#watch = watch;
  }

  arm(link: string, fault: NetworkFault, count: number, amount: number): void {
    const armed = this.#faults.get(link) ?? [];
    armed.push({ fault, amount, left: count });
    this.#faults.set(link, armed);
  }

  clear(): void {
    this.#faults.clear();
  }

  #next(link: string): ArmedFault | undefined {
    const armed = this.#faults.get(link);
    const first = armed?.[0];
    if (!first) return undefined;
    if (--first.left <= 0) armed.shift();
    this.#watch.onFault(first.fault, link);
    return first;
  }

  /** The answer as the caller gets it, or a coded error. */
  async call(call: Call): Promise<unknown> {
    if (!call.caller.alive) return never();
    const fault = this.#next(call.link);
    this.#watch.onMessage('caller', call, call.request);
    const answer = this.#exchange(call, fault);
    // An answer that comes after the deadline is nobody's any more.
    answer.catch(() => {});
    const { promise: expired, reject } = Promise.withResolvers<never>();
    const timer = this.#time.after(call.deadlineMs, () =>
      reject(new PulsefoldError('DEADLINE_EXCEEDED', 'no answer in time')),
    );
    expired.catch(() => {});
    try {
      const reply = await Promise.race([answer, expired]);
      return call.caller.alive ? reply : await never();
    } catch (error) {
      if (!call.caller.alive) return never();
      throw error;
    } finally {
      this.#time.cancel(timer);
    }
  }

  async #exchange(call: Call, armed: ArmedFault | undefined): Promise<unknown> {
    const { fault, amount = 0 } = armed ?? {};
    await this.#time.sleep(latencyOf(call.link) + (fault === 'delay-request' ? amount : 0));
    if (fault === 'lose-request') return this.#lost();
    if (fault === 'duplicate') this.#again(call, amount);
    const request = tampered(copy(call.request), fault, 'request', amount);
    const reply = await this.#deliver(call, request);
    await this.#time.sleep(latencyOf(call.link) + (fault === 'delay-response' ? amount : 0));
    if (fault === 'lose-response') return this.#lost();
    return tampered(reply, fault, 'response', amount);
  }

  /** The same message once more, later. Its answer reaches nobody. */
  #again(call: Call, delayMs: number): void {
    this.#time.after(delayMs, () => {
      this.#deliver(call, copy(call.request)).catch(() => {});
    });
  }

  async #lost(): Promise<never> {
    await this.#time.sleep(LOST_MS);
    throw new PulsefoldError('UNAVAILABLE', 'connection lost');
  }

  async #deliver(call: Call, request: unknown): Promise<unknown> {
    const callee = call.callee();
    if (!callee) throw new PulsefoldError('UNAVAILABLE', 'connection refused');
    const broken = callee.ended.then(() => {
      throw new PulsefoldError('UNAVAILABLE', 'connection broken');
    });
    broken.catch(() => {});
    let reply: unknown;
    try {
      reply = await Promise.race([call.handle(request), broken]);
    } catch (error) {
      if (isPulsefoldError(error) && error.code !== 'INTERNAL') throw error;
      if (callee.alive) this.#watch.onInternalError(call, error);
      throw new PulsefoldError('INTERNAL', 'internal error');
    }
    if (!callee.alive) throw new PulsefoldError('UNAVAILABLE', 'connection broken');
    this.#watch.onMessage('callee', call, reply);
    return copy(reply);
  }
}

/** A deep copy of what can stand in a message. */
export function copy<T>(value: T): T {
  if (value instanceof Uint8Array) return value.slice() as T;
  if (Array.isArray(value)) return value.map(copy) as T;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, copy(field)])) as T;
}

type Place = { readonly holder: Record<string, unknown>; readonly key: string; readonly bytes: Uint8Array };

/** Every byte string of a message, in a fixed order. */
export function bytesIn(message: unknown): Uint8Array[] {
  return placesIn(message).map(({ bytes }) => bytes);
}

function placesIn(message: unknown, found: Place[] = []): Place[] {
  if (message === null || typeof message !== 'object' || message instanceof Uint8Array) return found;
  for (const [key, field] of Object.entries(message))
    if (field instanceof Uint8Array)
      found.push({ holder: message as Record<string, unknown>, key, bytes: field });
    else placesIn(field, found);
  return found;
}

/** `message` with one bit turned, or one byte string cut. Changes `message` itself. */
function tampered(
  message: unknown,
  fault: NetworkFault | undefined,
  side: 'request' | 'response',
  amount: number,
): unknown {
  if (fault !== `flip-${side}` && fault !== `truncate-${side}`) return message;
  const places = placesIn(message).filter(({ bytes }) => bytes.length > 0);
  if (places.length === 0) return message;
  const { holder, key, bytes } = places[amount % places.length]!;
  const at = (amount * 7919) % bytes.length;
  if (fault === `truncate-${side}`) holder[key] = bytes.slice(0, at);
  else bytes[at] = bytes[at]! ^ (1 << (amount % 8));
  return message;
}

/** For people, in traces and violations. */
export const errorText = (error: unknown): string => {
  if (isPulsefoldError(error)) return `${error.code}: ${error.message}`;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
};
