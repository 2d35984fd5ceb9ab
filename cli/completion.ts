import { type Dirent, readdirSync } from 'node:fs';
import completions from '@bomb.sh/tab/commander';
import type { Command } from 'commander';
import { type Environment, findApi } from './find-api.ts';

/** A shell waits for the answer while somebody types. */
const PATIENCE_MILLISECONDS = 3000;

type Completed = readonly (readonly [string, string])[];

/** Verbs whose arguments are files. */
const ofFiles = ['validate', 'plan', 'build', 'subscribe'];
const ofBuilds = ['show', 'logs', 'resume', 'abort'];

/**
 * Adds the verb by which the scripts for shells ask what may come next (`foundry complete -- words…`). Ids are asked of a factory only where
 * its address is known without asking AWS.
 */
export async function addCompletion(
  program: Command,
  words: readonly string[],
  environment: Environment,
): Promise<void> {
  const root = completions(program);
  const verb = words.find((word) => !word.startsWith('-')) ?? '';
  const current = words.at(-1) ?? '';
  if (current.startsWith('-')) return;
  const found = ofFiles.includes(verb) ? recipesAt(current) : await idsFor(verb, words, environment);
  for (const argument of root.commands.get(verb)?.arguments.values() ?? []) {
    argument.handler = (complete) => {
      for (const [value, description] of found) complete(value, description);
    };
  }
}

/** Recipes here and one directory further, that begin so: a directory alone would end in a space that shells add. */
function recipesAt(begun: string): Completed {
  const directory = begun.includes('/') ? begun.slice(0, begun.lastIndexOf('/') + 1) : '';
  const isRecipe = (name: string) => /\.(ya?ml|json)$/.test(name);
  return entriesOf(directory).flatMap((entry): Completed => {
    const path = `${directory}${entry.name}`;
    if (!path.startsWith(begun) || (entry.name.startsWith('.') && !begun.endsWith('.'))) return [];
    if (!entry.isDirectory()) return isRecipe(entry.name) ? [[path, '']] : [];
    return entriesOf(`${path}/`).flatMap(
      ({ name }): Completed => (isRecipe(name) ? [[`${path}/${name}`, '']] : []),
    );
  });
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory === '' ? '.' : directory, { withFileTypes: true });
  } catch {
    return []; // None, or none of ours: nothing completes.
  }
}

async function idsFor(verb: string, words: readonly string[], environment: Environment): Promise<Completed> {
  const option = (name: string) => words[words.indexOf(name) + 1];
  const url = words.includes('--api') ? option('--api') : environment.FOUNDRY_API_URL || undefined;
  const local = words.includes('--local');
  if (!(ofBuilds.includes(verb) || verb === 'retire') || (url === undefined && !local)) return [];
  const ask = async (): Promise<Completed> => {
    const api = await findApi({ api: local ? undefined : url, local }, environment);
    if (verb === 'retire') {
      const { images } = await api.call('list-images', { query: { limit: '100' } });
      return images.map(({ imageId, name }) => [imageId, name]);
    }
    const { builds } = await api.call('list-builds', { query: { limit: '50' } });
    return builds.map(({ id, status }) => [id, status.toLowerCase()]);
  };
  // Whatever is wrong, a shell that completes is no place to say it.
  return await Promise.race([
    ask().catch((): Completed => []),
    new Promise<Completed>((resolve) => {
      setTimeout(() => resolve([]), PATIENCE_MILLISECONDS).unref();
    }),
  ]);
}
