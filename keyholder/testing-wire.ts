/**
 * A round of transport shares up to its uploads, with holders that are reached by RPC: for tests in keyholder/ only.
 */
import { parse } from '../protos/fields.ts';
import { type CeremonyStepReply, ceremonyStepReplySchema, phasesOf } from '../protos/keyholder-messages.ts';
import { approvePlan } from '../protos/plan.ts';
import type { RpcClient } from '../protos/transport/channel.ts';
import { planOf, type World, type WorldOptions } from './testing.ts';
import { bindingOf, byDevice, createDevices, createUpload } from './testing-uploads.ts';

/** The plan of `options`, registered at `rpc`, with the committee key of round 1 and uploads of `count` devices. */
export async function sharesRound(
  world: World,
  rpc: readonly RpcClient[],
  count: number,
  options: WorldOptions & { readonly name: string },
) {
  const parsed = planOf(world, { ...options, transport: 'shares' });
  const shares: World = { ...world, parsed, approvals: [approvePlan(parsed, 'ethics', world.approver)] };
  const all = <T>(call: (client: RpcClient, i: number) => Promise<T>) => Promise.all(rpc.map(call));
  const { hash: planHash, bytes: plan } = parsed;
  await all((client) => client.call('registerPlan', { plan, approvals: shares.approvals }));
  let replies: CeremonyStepReply[] = [];
  for (const phase of phasesOf('shares')) {
    const request = { planHash, round: 1, phase, parts: replies.map((reply) => reply.part), shares: [] };
    replies = await all(async (client) =>
      parse(ceremonyStepReplySchema, await client.call('ceremonyStep', request)),
    );
  }
  const { keyId, publicKey } = replies[0]!;
  const binding = bindingOf(shares, 1, keyId);
  const devices = await createDevices(shares, count);
  const cohort = devices
    .map((device, i) => createUpload(shares, device, binding, publicKey, i))
    .sort(byDevice);
  return { shares, planHash, rpc, all, binding, cohort };
}
