import { rootFile, type SystemFile } from '../image-parts.ts';
import type { Recipe } from '../recipe.ts';

/** boot.config(5), read by gptboot on BIOS: no wait for a key; another speed has to be said to it as well. */
export function bootConfig(recipe: Recipe): SystemFile[] {
  if (recipe.architecture !== 'amd64') return [];
  const speed = recipe.serialConsole.speed === 115200 ? '' : ` -S${recipe.serialConsole.speed}`;
  return [
    rootFile(
      '/boot.config',
      `-n${speed}\n`,
      'boot.config(5): gptboot does not wait three seconds for a key.',
    ),
  ];
}
