import { datasets, ZFS_POOL, ZFS_ROOT } from './disk-layout.ts';
import type { FileSource } from './image-parts.ts';
import { contentId } from './names.ts';
import type { ResolvedBuild } from './resolve-build.ts';
import { osVersion, packageAbi, type Repository } from './system-files/package-repositories.ts';

/** Version of the job's language, and of the bytes that a worker makes of it: raise it when either changes. */
export const JOB_VERSION = 3;

/** What a job says beside the build itself. */
export interface JobFrame {
  readonly build: string;
  /** Epoch seconds after which the worker gives up. */
  readonly deadline: number;
  /** Seconds between the report and power-off, so that a poll of the live console sees the report. */
  readonly linger: number;
  /** Where the worker puts what it found out; presigned, so secrets. */
  readonly upload: {
    readonly manifest: string;
    readonly sbom: string;
    /** Where the disk goes when no volume holds it. */
    readonly blocks?: { readonly pieces: readonly string[]; readonly index: string };
  };
  /** The URL from which a source of the recipe is fetched; presigned for S3. */
  readonly urlOf: (source: Exclude<FileSource, { readonly content: string }>) => Promise<string>;
}

type Line = readonly [key: string, value: string | number];

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

const numbered = <T>(prefix: string, items: readonly T[], lines: (item: T) => readonly Line[]): Line[] => [
  [`${prefix}.count`, items.length],
  ...items.flatMap((item, index) =>
    lines(item).map(
      ([key, value]): Line => [
        key === '' ? `${prefix}.${index + 1}` : `${prefix}.${index + 1}.${key}`,
        value,
      ],
    ),
  ),
];

/** The job as the worker reads it: `key=value` lines without quoting (docs/architecture.md, "Contract: worker"). Texts travel as base64. */
export async function renderJob(resolved: ResolvedBuild, frame: JobFrame): Promise<string> {
  const { recipe, contents, disk, contentDigest } = resolved;
  const sets = await Promise.all(
    resolved.sets.map(async (set) => ({ ...set, url: await urlOf(set.source, frame) })),
  );
  const files = await Promise.all(
    contents.files.map(async (file) => ({ ...file, url: await urlOf(file.source, frame) })),
  );
  const lines: Line[] = [
    ['version', JOB_VERSION],
    ['build', frame.build],
    ['deadline', frame.deadline],
    ['linger', frame.linger],
    ['release', resolved.release],
    ['architecture', recipe.architecture],
    ['filesystem', recipe.filesystem],
    ['system', recipe.system],
    ...numbered('mirror', resolved.mirrors, (url) => [['', url]]),
    ...numbered('set', sets, (set) => [
      ['name', set.name],
      ['file', set.file],
      ['sha256', set.sha256],
      ['entries', set.entries],
      ...(set.url === undefined ? [] : [['url', set.url] as const]),
    ]),
    ['update', contents.update],
    ['package.abi', packageAbi(recipe)],
    ['package.osversion', osVersion(recipe)],
    ...numbered('package', contents.packages, ({ name, repository }) => [
      ['name', name],
      ['repository', repository],
    ]),
    ...numbered('repository', contents.repositories, repositoryLines),
    ...numbered('group', recipe.groups, ({ name, gid }) => [
      ['name', name],
      ['gid', gid ?? ''],
    ]),
    ...numbered('user', recipe.users, userLines),
    ...numbered('file', files, (file) => [
      ['path', file.path],
      ['mode', file.mode],
      ['uid', file.owner],
      ['gid', file.group],
      ...sourceLines(file.source, file.url),
    ]),
    ...numbered('edit', contents.edits, (edit) => [
      ['path', edit.path],
      ['comment', base64(edit.comment)],
      ['first', base64(edit.first)],
      ['last', base64(edit.last)],
    ]),
    ...(recipe.timezone === undefined ? [] : [['timezone', recipe.timezone] as const]),
    ...numbered('script', recipe.scripts, ({ name, run }) => [
      ['name', name],
      ['content', base64(run)],
    ]),
    ['timestamp', resolved.builtAt],
    ['filesystem.id', contentId(contentDigest, 'file system')],
    ['disk.size', disk.size],
    ['disk.id', disk.id],
    ...numbered('partition', disk.partitions, (partition) => [
      ['content', partition.content],
      ['type', partition.type],
      ['label', partition.label],
      ['size', partition.size],
      ['id', partition.id],
      ...(partition.mount === undefined ? [] : [['mount', partition.mount] as const]),
    ]),
    ...(recipe.filesystem === 'zfs' ? zfsLines() : []),
    ['upload.manifest', frame.upload.manifest],
    ['upload.sbom', frame.upload.sbom],
    ...blockLines(frame.upload.blocks),
  ];
  const broken = lines.find(([, value]) => /[\n\r\0]/.test(String(value)));
  // Schemas keep line breaks out of every value above; a new field that lets one through must not reach the worker.
  if (broken) throw new RangeError(`job value ${broken[0]} contains a line break or NUL`);
  return `${lines.map(([key, value]) => `${key}=${value}`).join('\n')}\n`;
}

const urlOf = async (source: FileSource | undefined, frame: JobFrame): Promise<string | undefined> =>
  source === undefined || 'content' in source ? undefined : frame.urlOf(source);

const sourceLines = (source: FileSource, url: string | undefined): Line[] =>
  'content' in source
    ? [['content', base64(source.content)]]
    : [
        ['url', url ?? ''],
        ['sha256', source.sha256],
      ];

function repositoryLines({ name, url, priority, trust }: Repository): Line[] {
  const lines: Line[] = [
    ['name', name],
    ['url', url],
    ['priority', priority],
    ['signature', trust.signature],
  ];
  if (trust.signature === 'pubkey') return [...lines, ['key', base64(trust.key)]];
  if (trust.signature === 'none') return lines;
  return 'keys' in trust
    ? [...lines, ['keys', trust.keys]]
    : [...lines, ...numbered('fingerprint', trust.fingerprints, (fingerprint) => [['', fingerprint]])];
}

/** What is empty is a new user's default, and left as it is for a user that exists. */
const userLines = (user: ResolvedBuild['recipe']['users'][number]): Line[] => [
  ['name', user.name],
  ['uid', user.uid ?? ''],
  ['group', user.group ?? ''],
  ['groups', user.groups.join(',')],
  ['comment', base64(user.comment)],
  ['home', user.home ?? ''],
  ['shell', user.shell ?? ''],
  ['password', base64(user.password ?? '')],
  ['keys', base64(user.sshKeys.map((key) => `${key}\n`).join(''))],
];

const blockLines = (blocks: JobFrame['upload']['blocks']): Line[] =>
  blocks === undefined
    ? []
    : [...numbered('upload.blocks', blocks.pieces, (url) => [['', url]]), ['upload.index', blocks.index]];

const zfsLines = (): Line[] => [
  ['zfs.pool', ZFS_POOL],
  ['zfs.bootfs', ZFS_ROOT],
  ...numbered('dataset', datasets, ({ name, options }) => [
    ['name', name],
    ['options', options],
  ]),
];
