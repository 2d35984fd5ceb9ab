import { FactoryError } from '../core/errors.ts';
import type { Coordinates } from '../core/recipe-matrix.ts';
import { describeImage, type ImageDescription } from './describe-image.ts';
import { imageText } from './image-text.ts';
import { coordinatesText, readRecipeFile } from './recipe-file.ts';
import { maskedValue, printable } from './secrets.ts';

export interface VerbOptions {
  readonly set?: Readonly<Record<string, string>>;
  readonly json?: boolean;
}

/** What `--json` prints for each recipe. */
interface Validation {
  readonly file: string;
  readonly ok: boolean;
  readonly builds: readonly { readonly coordinates: Coordinates; readonly image: ImageDescription }[];
  readonly error?: { readonly code: string; readonly message: string; readonly remedy: string };
}

/** Checks recipes and prints what their images will contain; whether all were right. */
export async function validate(
  files: readonly string[],
  { set = {}, json = false }: VerbOptions,
): Promise<boolean> {
  const results: Validation[] = [];
  for (const file of files) {
    const result = await validateFile(file, set);
    results.push(result);
    if (result.error) console.error(printable(`${result.error.code}: ${result.error.message}`));
    else if (!json) console.log(printable(text(result)));
  }
  if (json) console.log(JSON.stringify(maskedValue(results), null, 2));
  return results.every(({ ok }) => ok);
}

async function validateFile(file: string, set: Readonly<Record<string, string>>): Promise<Validation> {
  try {
    const builds = await readRecipeFile(file, set);
    return {
      file,
      ok: true,
      builds: builds.map(({ coordinates, recipe }) => ({ coordinates, image: describeImage(recipe) })),
    };
  } catch (error) {
    if (!(error instanceof FactoryError)) throw error;
    const { code, message, remedy } = error;
    return { file, ok: false, builds: [], error: { code, message, remedy } };
  }
}

const text = ({ file, builds }: Validation): string =>
  [
    `${file} is right: ${builds.length === 1 ? 'one image' : `${builds.length} images`}`,
    ...builds.flatMap(({ coordinates, image }) => {
      const place = coordinatesText(coordinates);
      const { name, release, architecture, filesystem, flavour } = image;
      return [
        '',
        `${name} ${release}-${architecture} ${flavour} ${filesystem.toUpperCase()}${place === '' ? '' : `  (${place})`}`,
        ...imageText(image),
      ];
    }),
    '',
  ].join('\n');
