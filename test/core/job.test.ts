import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Job, renderJob } from '../../core/job.ts';

/** Values that a line may hold: anything but line breaks and NUL. */
const value = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll(/[\n\r\0]/g, ''));
const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

const jobs: fc.Arbitrary<Job> = fc.record({
  build: value,
  deadline: number,
  linger: number,
  release: value,
  architecture: fc.constantFrom('amd64', 'arm64'),
  filesystem: fc.constantFrom('ufs', 'zfs'),
  mirrors: fc.array(value, { maxLength: 4 }),
  sets: fc.array(fc.record({ name: value, file: value, sha256: value, entries: number }), { maxLength: 12 }),
  files: fc.array(
    fc.record({
      path: value,
      mode: value,
      uid: number,
      gid: number,
      content: fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('', '\n', 'a=b\n\0\r\nc')),
    }),
    { maxLength: 4 },
  ),
  timestamp: number,
  filesystemId: value,
  disk: fc.record({
    size: number,
    id: value,
    partitions: fc.array(
      fc.record({
        type: fc.constantFrom('freebsd-boot', 'efi', 'freebsd-ufs'),
        label: value,
        size: number,
        id: value,
      }),
      { maxLength: 3 },
    ),
  }),
});

/** The contract read back, by what docs/architecture.md says and nothing of core/job.ts. */
function readJob(text: string): Job {
  expect(text.endsWith('\n')).toBe(true);
  const lines = new Map<string, string>();
  for (const line of text.slice(0, -1).split('\n')) {
    const equals = line.indexOf('=');
    const key = line.slice(0, equals);
    expect(key).toMatch(/^[a-z0-9.]+$/);
    expect(lines.has(key)).toBe(false);
    lines.set(key, line.slice(equals + 1));
  }
  const get = (key: string): string => {
    const found = lines.get(key);
    if (found === undefined) throw new Error(`the job has no ${key}`);
    lines.delete(key);
    return found;
  };
  const count = (key: string) =>
    Array.from({ length: Number(get(`${key}.count`)) }, (_, n) => `${key}.${n + 1}`);
  expect(get('version')).toBe('1');
  const job = {
    build: get('build'),
    deadline: Number(get('deadline')),
    linger: Number(get('linger')),
    release: get('release'),
    architecture: get('architecture'),
    filesystem: get('filesystem'),
    mirrors: count('mirror').map(get),
    sets: count('set').map((at) => ({
      name: get(`${at}.name`),
      file: get(`${at}.file`),
      sha256: get(`${at}.sha256`),
      entries: Number(get(`${at}.entries`)),
    })),
    files: count('file').map((at) => ({
      path: get(`${at}.path`),
      mode: get(`${at}.mode`),
      uid: Number(get(`${at}.uid`)),
      gid: Number(get(`${at}.gid`)),
      content: Buffer.from(get(`${at}.content`), 'base64').toString('utf8'),
    })),
    timestamp: Number(get('timestamp')),
    filesystemId: get('filesystem.id'),
    disk: {
      size: Number(get('disk.size')),
      id: get('disk.id'),
      partitions: count('partition').map((at) => ({
        type: get(`${at}.type`),
        label: get(`${at}.label`),
        size: Number(get(`${at}.size`)),
        id: get(`${at}.id`),
      })),
    },
  };
  expect([...lines.keys()]).toEqual([]);
  return job as Job;
}

describe('a job', () => {
  test('reads back as it was, whatever its values contain', () => {
    fc.assert(
      fc.property(jobs, (job) => {
        expect(readJob(renderJob(job))).toEqual(wellFormed(job));
      }),
    );
  });

  test('is refused when a value would break a line', () => {
    const places: ((job: Job, bad: string) => Job)[] = [
      (job, bad) => ({ ...job, build: bad }),
      (job, bad) => ({ ...job, mirrors: ['ok', bad] }),
      (job, bad) => ({ ...job, sets: [{ name: 'base', file: bad, sha256: '', entries: 1 }] }),
      (job, bad) => ({ ...job, files: [{ path: bad, mode: '0644', uid: 0, gid: 0, content: '' }] }),
      (job, bad) => ({ ...job, disk: { ...job.disk, id: bad } }),
    ];
    fc.assert(
      fc.property(
        jobs,
        fc.constantFrom(...places),
        fc.constantFrom('\n', '\r', '\0'),
        value,
        (job, place, bad, rest) => {
          expect(() => renderJob(place(job, `${rest}${bad}version=2`))).toThrow(RangeError);
        },
      ),
    );
  });

  test('has the lines of the contract', () => {
    const job: Job = {
      build: 'demo-0123456789ab',
      deadline: 1_795_434_426,
      linger: 60,
      release: '15.1-RELEASE',
      architecture: 'amd64',
      filesystem: 'ufs',
      mirrors: ['https://m/r'],
      sets: [{ name: 'base', file: 'base.txz', sha256: 'aa', entries: 30443 }],
      files: [{ path: '/firstboot', mode: '0644', uid: 0, gid: 0, content: '' }],
      timestamp: 1_795_400_000,
      filesystemId: '0011',
      disk: { size: 10, id: 'uuid', partitions: [{ type: 'efi', label: 'efiboot0', size: 34, id: 'uuid2' }] },
    };
    expect(renderJob(job).split('\n')).toEqual([
      'version=1',
      'build=demo-0123456789ab',
      'deadline=1795434426',
      'linger=60',
      'release=15.1-RELEASE',
      'architecture=amd64',
      'filesystem=ufs',
      'mirror.count=1',
      'mirror.1=https://m/r',
      'set.count=1',
      'set.1.name=base',
      'set.1.file=base.txz',
      'set.1.sha256=aa',
      'set.1.entries=30443',
      'file.count=1',
      'file.1.path=/firstboot',
      'file.1.mode=0644',
      'file.1.uid=0',
      'file.1.gid=0',
      'file.1.content=',
      'timestamp=1795400000',
      'filesystem.id=0011',
      'disk.size=10',
      'disk.id=uuid',
      'partition.count=1',
      'partition.1.type=efi',
      'partition.1.label=efiboot0',
      'partition.1.size=34',
      'partition.1.id=uuid2',
      '',
    ]);
  });
});

/** Contents pass through UTF-8: half a surrogate pair has no bytes of its own. */
const wellFormed = (job: Job): Job => ({
  ...job,
  files: job.files.map((file) => ({ ...file, content: file.content.toWellFormed() })),
});
