import type { Retention } from './recipe-distribution.ts';

/** What the recipe of an image says of the lives of its images: the value of the tag `ami-foundry:retention`. */
export interface RetentionTag extends Retention {
  /** Images that replace each other. */
  readonly line: string;
  /** When a build last wanted it that found it made, epoch milliseconds. */
  readonly wantedAt?: number | undefined;
  /** Somebody wants this very image for ever: it never goes. */
  readonly never: boolean;
  /** Somebody wants it gone, whatever its recipe says. */
  readonly gone?: boolean | undefined;
}

/**
 * The line that an image belongs to: a recipe's images of one kind. A new minor release replaces the old one; 15 does not replace 14, nor
 * arm64 amd64. The factory sees no parameters: those that a recipe's name does not have in it do not make lines of their own.
 */
export const imageLine = (of: {
  readonly name: string;
  readonly release: string;
  readonly architecture: string;
  readonly flavour: string;
  readonly filesystem: string;
}): string => [of.name, of.release.replace(/\..*/, ''), of.architecture, of.flavour, of.filesystem].join('/');

export const recipeOf = ({ line }: RetentionTag): string => line.split('/')[0] ?? '';

/** A tag's value has at most 256 characters of letters, digits, spaces and `+-=._:/@` (EC2, "Tag restrictions"). */
export const retentionTag = ({ line, keep, days, wantedAt, never, gone = false }: RetentionTag): string =>
  [
    `line=${line}`,
    ...(keep === undefined ? [] : [`keep=${keep}`]),
    ...(days === undefined ? [] : [`days=${days}`]),
    ...(wantedAt === undefined ? [] : [`wanted=${new Date(wantedAt).toISOString()}`]),
    ...(never ? ['never'] : []),
    ...(gone ? ['gone'] : []),
  ].join(' ');

const wholeNumber = (text: string): number => (/^[1-9]\d{0,8}$/.test(text) ? Number(text) : Number.NaN);

/** Reads the tag; undefined when it is not what the factory writes. `never` alone, by hand, pins an image that has no line. */
export function readRetentionTag(text: string): RetentionTag | undefined {
  const words = text.split(' ').filter((word) => word !== '');
  const never = words.includes('never');
  const found = new Map<string, string>();
  for (const word of words) {
    if (word === 'never' || word === 'gone') continue;
    const [, key, value] = /^(line|keep|days|wanted)=(.+)$/.exec(word) ?? [];
    if (key === undefined || value === undefined || found.has(key)) return undefined;
    found.set(key, value);
  }
  const number = (key: string, read: (value: string) => number) => {
    const value = found.get(key);
    return value === undefined ? undefined : read(value);
  };
  const keep = number('keep', wholeNumber);
  const days = number('days', wholeNumber);
  const wantedAt = number('wanted', Date.parse);
  if ([keep, days, wantedAt].some(Number.isNaN)) return undefined;
  const line = found.get('line') ?? (never ? '' : undefined);
  return line === undefined ? undefined : { line, keep, days, wantedAt, never, gone: words.includes('gone') };
}
