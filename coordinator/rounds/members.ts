/**
 * Growing lists of ids in an immutable state: asked "is it in?" with every event, a million times per round.
 *
 * Pure: what is remembered here is derived from the lists, and checked against their lengths. May be called by:
 * coordinator/rounds/machine.ts.
 */
const sets = new WeakMap<readonly string[], Set<string>>();

function setOf(list: readonly string[]): Set<string> {
  const known = sets.get(list);
  // A set is handed on to the longer list below; it never misses an element, so equal sizes are equal contents.
  if (known?.size === list.length) return known;
  const made = new Set(list);
  sets.set(list, made);
  return made;
}

/** `list` with `item` at its end, unless it is in. Lists have no duplicates. */
export const add = (list: readonly string[], item: string): readonly string[] => addAll(list, [item]);

/** The same with many items: one copy of `list` for all of them. */
export function addAll(list: readonly string[], items: readonly string[]): readonly string[] {
  const members = setOf(list);
  const fresh: string[] = [];
  for (const item of items) {
    if (members.has(item)) continue;
    members.add(item);
    fresh.push(item);
  }
  if (fresh.length === 0) return list;
  const longer = list.concat(fresh);
  sets.set(longer, members);
  return longer;
}
