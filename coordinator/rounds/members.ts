/**
 * Growing lists of ids in an immutable state: asked "is it in?" with every event, ten thousand times per round.
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

export const isIn = (list: readonly string[], item: string): boolean => setOf(list).has(item);

/** `list` with `item` at its end, unless it is in. Lists have no duplicates. */
export function add(list: readonly string[], item: string): readonly string[] {
  const members = setOf(list);
  if (members.has(item)) return list;
  const longer = [...list, item];
  members.add(item);
  sets.set(longer, members);
  return longer;
}
