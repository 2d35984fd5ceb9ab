import { distance } from 'fastest-levenshtein';

/** The name that was probably meant; undefined when none is near. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, edits: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0];
  // More than half of the word changed is a different word, not a slip.
  return best && best.edits <= Math.max(2, Math.floor(name.length / 2)) ? best.candidate : undefined;
}
