import type { ImageContents } from '../../core/image-contents.ts';
import type { FileSource } from '../../core/image-parts.ts';

const indented = (text: string): string[] =>
  text
    .split('\n')
    .map((line, index, all) => (line === '' && index === all.length - 1 ? '' : `    | ${line}`));

const source = (from: FileSource): string[] =>
  'content' in from ? indented(from.content) : [`    ${'url' in from ? from.url : from.s3} ${from.sha256}`];

/** What an image has beside the release, as text for people: one block per file and edit, contents behind bars. */
export function contentsListing({ packages, repositories, files, edits, update }: ImageContents): string {
  return [
    `update at build: ${update}`,
    `packages: ${packages.map(({ name, repository }) => (repository ? `${name}@${repository}` : name)).join(' ')}`,
    ...repositories.map(({ name, url, trust }) => `repository ${name}: ${url} (${JSON.stringify(trust)})`),
    '',
    ...files.flatMap(({ path, mode, owner, group, because, source: from }) => [
      `${path} ${mode} ${owner}:${group}`,
      `    ${because}`,
      ...source(from).filter((line) => line !== ''),
    ]),
    '',
    ...edits.flatMap(({ path, comment, first, last, because }) => [
      `edit ${path}`,
      `    ${because}`,
      ...(comment ? [`    # before lines that begin with ${comment}`] : []),
      ...(first ? ['    first:', ...indented(first).filter((line) => line !== '')] : []),
      ...(last ? ['    last:', ...indented(last).filter((line) => line !== '')] : []),
    ]),
    '',
  ].join('\n');
}
