import { createHash } from 'node:crypto';
import type { Mirror, MirrorAnswer, UpdateServer } from '../../core/ports.ts';
import { parseRecipe } from '../../core/recipe.ts';
import { type ResolvedBuild, resolveBuild } from '../../core/resolve-build.ts';

/** The sets of FreeBSD 15.1, with the checksums and counts of nobody. */
export const SETS = [
  'base',
  'base_dbg',
  'kernel',
  'kernel_dbg',
  'lib32',
  'lib32_dbg',
  'ports',
  'src',
  'tests',
];
export const MANIFEST = SETS.map(
  (name, n) =>
    `${name.replace('_', '-')}.txz\t${String(n + 1).repeat(64)}\t${n + 10}\t${name}\t"${name}"\ton\n`,
).join('');

/** A mirror and package repositories as FreeBSD has them; `pages` replaces or adds. */
export function upstream(pages: ReadonlyMap<string, MirrorAnswer> = new Map()): Mirror {
  const answer = (url: string): MirrorAnswer => {
    const given = pages.get(url);
    if (given !== undefined) return given;
    if (/\/releases\/(amd64\/amd64|arm64\/aarch64)\/[^/]+\/MANIFEST$/.test(url))
      return { status: 'found', text: MANIFEST };
    if (url.endsWith('/BUILDDATE')) return { status: 'found', text: '20261106\n' };
    return url.endsWith('/packagesite.pkg') ? { status: 'found', text: url } : { status: 'absent' };
  };
  return {
    read: async (url) => answer(url),
    digest: async (url) => {
      const given = answer(url);
      return given.status === 'found'
        ? {
            status: 'found',
            sha256: createHash('sha256').update(given.text).digest('hex'),
            bytes: given.text.length,
          }
        : given;
    },
  };
}

/** An update server that has this patch level of every release, or none. */
export const patched = (level?: number): UpdateServer => ({ patchLevel: async () => level });

export const resolved = async (
  recipe: unknown,
  mirror = upstream(),
  updates = patched(1),
): Promise<ResolvedBuild> => await resolveBuild(parseRecipe(recipe), { mirror, updates });
