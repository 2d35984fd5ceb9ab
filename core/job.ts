import type { Partition } from './disk-layout.ts';
import type { ReleaseSet } from './manifest.ts';
import type { SystemFile } from './system-files.ts';

/** What the worker is told to do: docs/architecture.md, "Contract: worker". */
export interface Job {
  readonly build: string;
  /** Epoch seconds after which the worker gives up. */
  readonly deadline: number;
  /** Seconds between the report and power-off, so that a poll of the live console sees the report. */
  readonly linger: number;
  readonly release: string;
  readonly architecture: 'amd64' | 'arm64';
  readonly filesystem: 'ufs' | 'zfs';
  /** Directories that hold the sets, without a slash at the end. */
  readonly mirrors: readonly string[];
  readonly sets: readonly ReleaseSet[];
  readonly files: readonly SystemFile[];
  /** Epoch seconds. */
  readonly timestamp: number;
  readonly filesystemId: string;
  readonly disk: { readonly size: number; readonly id: string; readonly partitions: readonly Partition[] };
}

type Line = readonly [key: string, value: string | number];

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

/** The job as the worker reads it: `key=value` lines without quoting. Contents travel as base64. */
export function renderJob(job: Job): string {
  const lines: Line[] = [
    ['version', 1],
    ['build', job.build],
    ['deadline', job.deadline],
    ['linger', job.linger],
    ['release', job.release],
    ['architecture', job.architecture],
    ['filesystem', job.filesystem],
    ...numbered('mirror', job.mirrors, (url) => [['', url]]),
    ...numbered('set', job.sets, (set) => [
      ['name', set.name],
      ['file', set.file],
      ['sha256', set.sha256],
      ['entries', set.entries],
    ]),
    ...numbered('file', job.files, (file) => [
      ['path', file.path],
      ['mode', file.mode],
      ['uid', file.uid],
      ['gid', file.gid],
      ['content', Buffer.from(file.content, 'utf8').toString('base64')],
    ]),
    ['timestamp', job.timestamp],
    ['filesystem.id', job.filesystemId],
    ['disk.size', job.disk.size],
    ['disk.id', job.disk.id],
    ...numbered('partition', job.disk.partitions, (partition) => [
      ['type', partition.type],
      ['label', partition.label],
      ['size', partition.size],
      ['id', partition.id],
    ]),
  ];
  const broken = lines.find(([, value]) => /[\n\r\0]/.test(String(value)));
  // Schemas keep line breaks out of every value above; a new field that lets one through must not reach the worker.
  if (broken) throw new RangeError(`job value ${broken[0]} contains a line break or NUL`);
  return `${lines.map(([key, value]) => `${key}=${value}`).join('\n')}\n`;
}
