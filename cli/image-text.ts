import type { ImageDescription } from './describe-image.ts';
import { columns, labelled, listed, paragraph } from './text.ts';

/** What is in an image, for people. */
export function imageText(image: ImageDescription): string[] {
  const { system } = image;
  return [
    ...image.warnings.flatMap((warning) => paragraph('WARNING', warning)),
    ...labelled('system', [
      ...(system.from === 'pkgbase' ? ['base packages (FreeBSD-base)'] : []),
      ...system.sets,
      ...system.optional.map((name) => `${name} if the release has it`),
    ]),
    ...labelled('updates', image.updates === 'none' ? [] : [`at build time, by ${image.updates}`]),
    ...labelled('packages', image.packages),
    ...listed(
      'repositories',
      image.repositories.map(({ name, url, trust }) => `${name}  ${url} (${trust})`),
    ),
    ...labelled(
      'users',
      image.users.map(
        ({ name, groups, keys }) =>
          `${name}${groups.length > 0 ? ` in ${groups.join(' ')}` : ''} (${keys} ${keys === 1 ? 'key' : 'keys'})`,
      ),
    ),
    ...labelled('groups', image.groups),
    ...labelled(
      'services',
      Object.entries(image.services).map(([name, on]) => `${name} ${on ? 'on' : 'off'}`),
    ),
    ...labelled('scripts', image.scripts),
    ...labelled(
      'partitions',
      image.partitions.map(({ label, type, size }) => `${label} ${type} ${size}`),
    ),
    ...listed('first boot', image.firstBoot),
    ...listed(
      'worker',
      image.freebsdWorker.map((reason) => `FreeBSD only: ${reason}`),
    ),
    '  files',
    ...columns(
      image.files.map(({ path, mode, owner, from, because }) => [path, mode, owner, from, because]),
      '    ',
    ),
    '  changes to files of the release',
    ...columns(
      image.edits.map(({ path, because }) => [path, because]),
      '    ',
    ),
  ];
}
