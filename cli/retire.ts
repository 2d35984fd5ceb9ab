import type { Api } from './api.ts';
import { EXIT } from './exit.ts';
import { print, printJsonLine, say } from './terminal.ts';

/** Puts images and their copies away. Prints the ids of those that were; fails when one was kept because somebody uses it. */
export async function retire(
  api: Api,
  images: readonly string[],
  { json = false }: { readonly json?: boolean },
): Promise<number> {
  let kept = 0;
  for (const imageId of images) {
    const answer = await api.call('retire-image', { params: { imageId } });
    kept += answer.kept.length;
    if (json) {
      printJsonLine(answer);
      continue;
    }
    for (const image of answer.kept) say(`${image.imageId} in ${image.region} is kept: ${image.reason}`);
    if (answer.quarantined.length > 0) say(`To take it back: ${answer.undo}`);
    for (const image of answer.quarantined) print(image.imageId);
  }
  return kept > 0 ? EXIT.problems : EXIT.ok;
}
