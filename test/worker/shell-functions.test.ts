import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { files, job, MIB, root, shellPiece, shells, swapAndData, zfs } from './worker-run.ts';

const scratch = mkdtempSync(join(tmpdir(), 'worker-shell-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

let state = '';
let turn = 0;
const freshState = () => {
  // A job of thousands of values is as many files.
  if (state) rmSync(state, { recursive: true, force: true });
  state = join(scratch, String(turn++));
  mkdirSync(state);
};
beforeEach(freshState);

// The property tests start thousands of processes: on a busy machine they take more than the usual limit.

const base64 = (data: string | Buffer) => Buffer.from(data).toString('base64');

/** Text that a shell, awk, sed or printf could trip over, in every encoding a path may have. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom(
    '$(touch pwned)',
    '`touch pwned`',
    '"; touch pwned; "',
    "'; touch pwned; '",
    '\\n\\t\\0\\c',
    '%s%n%d',
    '-n',
    '-e x',
    '--',
    '  leading and trailing  ',
    '*',
    '~root',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell's expansion, not a template's.
    '${HOME}',
    'a=b=c',
    '=',
    '\u0081\u0082\u0088', // dash's internal marks, as characters
    'ő',
    '&',
    '\\',
    '#',
    '!x',
  ),
);
const oneLine = hostile.map((text) => text.replace(/[\n\r\0]/g, ''));

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))('under $name', ({ shell }) => {
  const run = (script: string, ...args: string[]) => {
    const { command, argv } = shellPiece(shell, script, args, state);
    return spawnSync(command, argv, { cwd: state, maxBuffer: 2 ** 26 });
  };

  describe('json_string', () => {
    it('writes any text as a JSON string, control characters left out', () => {
      fc.assert(
        fc.property(hostile, (text) => {
          const sent = text.replaceAll('\0', '');
          const { stdout } = run('json_string "$1"', sent);
          const expected = Array.from(sent.replaceAll('\t', ' '))
            .filter((character) => character === '\n' || (character >= ' ' && character !== '\u007f'))
            .join('');
          expect(JSON.parse(stdout.toString())).toBe(Buffer.from(expected).toString());
        }),
        { numRuns: 40 },
      );
    }, 60_000);
  });

  describe('the job', () => {
    const load = (lines: readonly string[] | Buffer) => {
      freshState();
      writeFileSync(join(state, 'given'), Buffer.isBuffer(lines) ? lines : `${lines.join('\n')}\n`);
      const { status, stdout, stderr } = run(
        'job_load "$1"; printf "%s %s\\n" "$job_build" "$job_linger"',
        join(state, 'given'),
      );
      const [code, message] = stdout.toString().split('\n');
      return { status, code: code ?? '', message: message ?? '', stderr: stderr.toString() };
    };
    const good = job(['http://mirror.example/releases']);

    it('is taken when every key is right', () => {
      expect(load(good)).toMatchObject({ status: 0, code: 'demo-3f1c 0', stderr: '' });
    });

    it('is taken without a line end at its end', () => {
      expect(load(Buffer.from(good.join('\n')))).toMatchObject({ status: 0 });
    });

    it('lays the partitions out on whole MiB', () => {
      load(good);
      expect(
        readFileSync(join(state, 'layout'), 'utf8')
          .split('\n')
          .map((line) => line.split(' ').slice(0, 5)),
      ).toEqual([
        ['1', 'freebsd-boot', 'bootfs', String(MIB), '524288'],
        ['2', 'efi', 'efiboot0', String(2 * MIB), String(34 * MIB)],
        ['3', 'freebsd-ufs', 'rootfs', String(36 * MIB), String(59 * MIB)],
        [''],
      ]);
    });

    it('is refused with every mistake named at once', () => {
      const { status, code, message } = load(
        job(['ftp://mirror.example'], {
          version: 1,
          deadline: 'tomorrow',
          'disk.id': undefined,
          'set.1.sha256': 'abc',
          'file.1.mode': '0999',
          colour: 'red',
        }).concat('no key here', 'linger=5'),
      );
      expect({ status, code }).toEqual({ status: 1, code: 'BadJob' });
      for (const part of [
        'version is not 3',
        'deadline is not a valid number',
        'disk.id is missing',
        'set.1.sha256 is not 64 hex digits',
        'file.1.mode is not four octal digits',
        'mirror.1 is not an http or https URL',
        'unknown key colour',
        ' is not key=value',
        'linger is there twice',
      ]) {
        expect(message).toContain(part);
      }
    });

    it.each([
      ['disk.size', '010'],
      ['disk.size', '1e9'],
      ['disk.size', '99999999999999999999'],
      ['filesystem.id', '0123456789ABCDEF'],
      ['disk.id', '3f2504e0-4f89-41d3-9a0c-0305e82c330'],
      ['partition.1.label', 'boot fs'],
      ['partition.1.label', '-n'],
      ['partition.1.type', 'freebsd-swap'],
      ['partition.1.type', 'amd64 arm64'],
      ['architecture', 'amd64 arm64'],
      ['set.1.file', '../../etc/passwd'],
      ['set.1.file', 'base.tar'],
      ['mirror.1', 'http://mirror.example/releases/'],
      ['mirror.1', 'http://mirror.example/$(id)'],
      ['mirror.1', '-o/etc/passwd'],
      ['build', 'a b'],
      ['file.1.path', 'etc/fstab'],
      ['file.1.path', '/etc/../../fstab'],
      ['file.1.path', '/etc/..'],
      ['file.1.path', '/etc//fstab'],
      ['file.1.path', '/etc/'],
      ['file.1.path', '/'],
      ['file.1.uid', '-1'],
      ['file.1.content', 'a'],
      ['file.1.content', 'a==='],
      ['file.1.content', '$(id)'],
      ['partition.count', '17'],
      ['file.count', '99999999'],
      ['partition.2.size', '99999999999'],
      ['partition.2.size', '1000'],
      ['partition.2.type', 'freebsd-boot'],
      ['partition.2.content', 'boot'],
      ['partition.2.content', 'swap'],
      ['partition.3.label', 'efiboot0'],
      ['version', '1'],
      ['system', 'tarball'],
      ['update', 'yes'],
      ['set.count', '0'],
      ['mirror.count', '0'],
      ['timezone', '../../etc/passwd'],
      ['timezone', '/Europe/Zurich'],
      ['upload.sbom', 'file:///etc/passwd'],
      ['set.1.url', 'ftp://m.example/base.txz'],
      ['file.1.url', 'https://m.example/a b'],
      ['file.1.uid', '4294967295'],
      ['file.1.gid', 'a b'],
      ['edit.count', '-1'],
      ['zfs.pool', 'zroot'],
      ['group.1.name', 'x'],
    ])('is refused for %s=%s, with that key in the message', (key, value) => {
      const { status, code, message } = load(job(['http://mirror.example/r'], { [key]: value }));
      expect({ status, code }).toEqual({ status: 1, code: 'BadJob' });
      expect(message).toContain(key);
    });

    /** One of everything that a job may have beside the sets. */
    const whole: Record<string, string | number | undefined> = {
      'set.1.url': 'https://bucket.example/a/base.txz?X-Amz-Signature=0123&X-Amz-Date=2026',
      'set.1.entries': 0,
      'file.1.uid': 'www',
      'file.1.gid': 'wheel',
      'file.1.content': undefined,
      'file.1.url': "https://bucket.example/it's%20(1)?X-Amz-Signature=0123",
      'file.1.sha256': 'a'.repeat(64),
      'edit.count': 1,
      'edit.1.path': '/etc/ttys',
      'edit.1.comment': 'dHR5djA=',
      'edit.1.first': '',
      'edit.1.last': 'Cg==',
      'group.count': 1,
      'group.1.name': 'staff',
      'group.1.gid': '',
      'user.count': 1,
      'user.1.name': 'ada',
      'user.1.uid': '',
      'user.1.group': 'ada',
      'user.1.groups': 'wheel,staff',
      'user.1.comment': '',
      'user.1.home': '/home/ada',
      'user.1.shell': '/bin/sh',
      'user.1.password': 'Kg==',
      'user.1.keys': '',
      'package.abi': 'FreeBSD:15:amd64',
      'package.osversion': 1501000,
      'package.count': 2,
      'package.1.name': 'nginx',
      'package.1.repository': '',
      'package.2.name': 'www/py311-x+y',
      'package.2.repository': 'FreeBSD-ports',
      'repository.count': 3,
      'repository.1.name': 'FreeBSD-ports',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: pkg's own variable.
      'repository.1.url': 'pkg+https://pkg.example/${ABI}/latest',
      'repository.1.priority': 0,
      'repository.1.signature': 'fingerprints',
      'repository.1.keys': '/usr/share/keys/pkg',
      'repository.2.name': 'own',
      'repository.2.url': 'https://own.example/repo',
      'repository.2.priority': -10,
      'repository.2.signature': 'fingerprints',
      'repository.2.fingerprint.count': 1,
      'repository.2.fingerprint.1': 'b'.repeat(64),
      'repository.3.name': 'signed',
      'repository.3.url': 'https://own.example/signed',
      'repository.3.priority': 5,
      'repository.3.signature': 'pubkey',
      'repository.3.key': 'LS0tLS0=',
      update: 'freebsd-update',
      timezone: 'America/Argentina/Buenos_Aires',
      'script.count': 1,
      'script.1.name': 'tune',
      'script.1.content': 'Og==',
      'upload.manifest': 'https://bucket.example/manifest?X-Amz-Signature=1',
      'upload.sbom': 'https://bucket.example/sbom?X-Amz-Signature=1',
      ...zfs,
    };
    const mirrors = ['http://m.example/r'];

    it('is taken with one of everything', () => {
      expect(load(job(mirrors, whole))).toMatchObject({ status: 0, stderr: '' });
      expect(
        load(
          job(mirrors, { ...whole, ...swapAndData, filesystem: 'zfs', 'partition.5.type': 'freebsd-zfs' }),
        ),
      ).toMatchObject({ status: 0 });
    });

    it('is taken without sets from a system of packages, and without mirrors when every set has a URL', () => {
      const without = (prefix: string) => job(mirrors, whole).filter((line) => !line.startsWith(prefix));
      expect(
        load(
          without('set.')
            .filter((line) => !/^(mirror|system)/.test(line))
            .concat('set.count=0', 'mirror.count=0', 'system=pkgbase'),
        ),
      ).toMatchObject({ status: 0 });
      const own = job([], { ...whole, 'set.2.url': 'https://bucket.example/kernel' });
      expect(load(own)).toMatchObject({ status: 0 });
    });

    it('misses every key that is left out, by name, or does without it', () => {
      const lines = job(mirrors, whole);
      const optional = /^(upload\.|timezone|set\.1\.url|repository\.1\.keys|file\.1\.url|file\.1\.sha256)/;
      for (const line of lines) {
        const key = line.slice(0, line.indexOf('='));
        const { status, message } = load(lines.filter((other) => other !== line));
        if (optional.test(key) && !key.startsWith('file.') && !key.startsWith('repository.'))
          expect({ key, status }).toEqual({ key, status: 0 });
        else {
          expect({ key, status }).toEqual({ key, status: 1 });
          // What a count or a choice leads to is unknown without it.
          expect(message).toContain(
            key.startsWith('file.1.url')
              ? 'file.1.content'
              : key.replace('repository.1.keys', 'repository.1.fingerprint.count'),
          );
        }
      }
    }, 60_000);

    it.each([
      ['group.1.gid', 'wheel'],
      ['user.1.name', '-rf'],
      ['user.1.name', 'a:b'],
      ['user.1.groups', 'wheel,,staff'],
      ['user.1.home', '/home/a:b'],
      ['user.1.home', 'relative'],
      ['user.1.password', 'not base64'],
      ['package.1.name', '../x'],
      ['package.1.name', 'nginx*'],
      ['package.abi', 'FreeBSD'],
      ['repository.1.url', 'file:///etc'],
      ['repository.1.signature', 'maybe'],
      ['repository.2.fingerprint.1', 'abc'],
      ['repository.2.fingerprint.count', '0'],
      ['repository.1.priority', '1.5'],
      ['script.1.name', 'a/b'],
      ['zfs.pool', 'zroot/x'],
      ['zfs.pool', 'raidz'],
      ['zfs.bootfs', 'zroot/none'],
      ['dataset.2.name', 'zroot/a/b'],
      ['dataset.2.name', 'zroot'],
      ['dataset.2.options', 'quota=1g'],
      ['dataset.2.options', 'exec=on,setuid=off'],
      ['dataset.2.options', 'mountpoint=tmp'],
      ['dataset.2.options', 'exec=on'],
      ['dataset.2.options', ''],
      ['dataset.3.options', 'canmount=on'],
      ['partition.3.type', 'freebsd-ufs'],
      ['file.1.sha256', 'abc'],
      ['edit.1.first', '$(id)'],
    ])('with one of everything, is refused for %s=%s', (key, value) => {
      const { status, code, message } = load(job(mirrors, { ...whole, [key]: value }));
      expect({ status, code }).toEqual({ status: 1, code: 'BadJob' });
      expect(message).toContain(key === 'dataset.3.options' ? 'dataset.options' : key);
    });

    it.each([
      ['partition.4.mount', 'relative'],
      ['partition.4.mount', undefined],
      ['partition.4.label', 'a.b'],
      ['partition.4.size', 0],
      ['partition.5.content', 'root data'],
    ])('with swap and data, is refused for %s=%s', (key, value) => {
      const { status, message } = load(job(mirrors, { ...swapAndData, [key]: value }));
      expect(status).toBe(1);
      expect(message).toContain(key);
    });

    it('is refused without a root', () => {
      const { message } = load(job(mirrors, { 'partition.3.content': 'data', 'partition.3.mount': '/data' }));
      expect(message).toContain('no partition.content is root');
    });

    it('is refused with root before data: it could not grow', () => {
      const { message } = load(
        job(mirrors, {
          ...swapAndData,
          'partition.4.content': 'root',
          'partition.4.mount': undefined,
          'partition.4.label': 'rootfs',
          'partition.5.content': 'data',
          'partition.5.mount': '/data',
          'partition.5.label': 'data0',
        }),
      );
      expect(message).toContain('partition.4.content is root, and it is not the last');
    });

    it('names at most a hundred mistakes, and how many more there are', () => {
      const { message } = load(good.concat(Array.from({ length: 5000 }, (_, i) => `colour.${i}=red`)));
      expect(message.length).toBeLessThan(8_000);
      expect(message).toMatch(/; and 4900 more$/);
    });

    it('never shows the query of a URL', () => {
      const url = 'https://bucket.example/x?X-Amz-Signature=secret';
      const { message } = load(
        job([`${url} `], {
          ...whole,
          'set.1.url': `${url}#x`,
          'file.1.url': `${url} `,
          'upload.sbom': `${url} `,
        }).concat(`${url}`),
      );
      for (const key of ['mirror.1', 'set.1.url', 'file.1.url', 'upload.sbom'])
        expect(message).toContain(key);
      expect(message).not.toContain('secret');
    });

    it.each(
      ['mawk', 'gawk', 'original-awk', 'busybox awk'].filter(
        (awk) => spawnSync('which', [awk.split(' ')[0] ?? '']).status === 0,
      ),
    )('reads the same under %s', (awk) => {
      const judge = (lines: readonly string[]) => {
        freshState();
        mkdirSync(join(state, 'job'));
        const [command = '', ...rest] = awk.split(' ');
        const { stdout } = spawnSync(command, [...rest, '-f', join(root, 'worker/job.awk')], {
          input: lines.join('\n'),
          env: { ...process.env, LC_ALL: 'C', JOB_STATE: state },
        });
        return stdout.toString();
      };
      expect(judge(job(mirrors, whole))).toBe('');
      expect(readFileSync(join(state, 'layout'), 'utf8').split('\n')[2]).toBe(
        `3 freebsd-zfs rootfs ${36 * MIB} ${59 * MIB} 3f2504e0-4f89-41d3-9a0c-0305e82c3313 root`,
      );
      expect(judge(job(mirrors, { ...whole, 'disk.size': 2 ** 44, 'partition.2.size': 2 ** 43 }))).toBe('');
      expect(readFileSync(join(state, 'layout'), 'utf8').split('\n')[1]).toContain(` ${2 ** 43} `);
      expect(
        judge(job(mirrors, { ...whole, 'set.1.sha256': 'é', 'user.1.groups': 'a,\\b', 'disk.id': 'x' })),
      ).toBe(
        'disk.id is not a valid uuid; set.1.sha256 is not 64 hex digits; user.1.groups is not a list of names with commas between or empty\n',
      );
    });

    it('takes thousands of values at once', () => {
      const many = job(
        mirrors,
        files(
          Array.from({ length: 4096 }, (_, i) => ({ path: `/etc/f/${i}`, content: Buffer.alloc(900, i) })),
        ),
      );
      freshState();
      writeFileSync(join(state, 'given'), many.join('\n'));
      const began = performance.now();
      expect(run('job_load "$1"', join(state, 'given')).status).toBe(0);
      // Half a second on an idle machine; sh alone would take a minute.
      expect(performance.now() - began).toBeLessThan(60_000);
      expect(readFileSync(join(state, 'job/file.4096.path'), 'utf8')).toBe('/etc/f/4095\n');
    }, 120_000);

    it('is refused when BIOS boot code is asked for on arm64', () => {
      expect(load(job(['http://m.example'], { architecture: 'arm64' })).message).toContain(
        'arm64 does not have',
      );
    });

    it('keeps every value byte for byte or names its key, and runs none of them', () => {
      fc.assert(
        fc.property(
          fc.constantFrom(
            'release',
            'mirror.1',
            'file.1.path',
            'partition.2.label',
            'set.2.name',
            'disk.size',
          ),
          oneLine,
          (key, value) => {
            const { status, code, message } = load(job(['http://m.example/r'], { [key]: value }));
            if (status === 0) {
              expect(readFileSync(join(state, 'job', key), 'utf8')).toBe(`${value}\n`);
            } else {
              expect(code).toBe('BadJob');
              expect(message).toContain(key);
            }
            expect(existsSync(join(state, 'pwned'))).toBe(false);
          },
        ),
        { numRuns: 40 },
      );
    }, 60_000);

    it('never takes a key for anything but a key', () => {
      fc.assert(
        fc.property(oneLine, (key) => {
          const { code, status } = load([...good, `${key}=x`]);
          expect({ code, status }).toEqual({ code: 'BadJob', status: 1 });
          expect(existsSync(join(state, 'pwned'))).toBe(false);
        }),
        { numRuns: 40 },
      );
    }, 60_000);
  });

  describe('preflight', () => {
    it('is ToolMissing with every tool that is not there, and the package that has it', () => {
      const path = join(state, 'bin');
      mkdirSync(path);
      for (const name of ['sort', 'tr', 'curl', 'node'])
        symlinkSync(
          execFileSync('sh', ['-c', `command -v ${name}`])
            .toString()
            .trim(),
          join(path, name),
        );
      const { stdout } = run(
        '. "$worker/phases/10-preflight.sh"; . "$worker/phases/30-extract.sh"; phases=extract; platform=linux; job_filesystem=ufs; PATH=$1; preflight_run',
        path,
      );
      expect(stdout.toString().split('\n').slice(0, 2)).toEqual([
        'ToolMissing',
        'missing on this machine: base64 (package coreutils) blockdev (package util-linux) bsdtar (package libarchive-tools) lsblk (package util-linux) mcopy (package mtools) mkfs.vfat (package dosfstools) pgrep (package procps) sfdisk (package fdisk) sha256sum (package coreutils) truncate (package coreutils) xz (package xz-utils) ',
      ]);
    });
  });

  describe('configure', () => {
    /** A tree with some of a release in it, and the job's changes made to it. */
    const lay = (
      laid: Parameters<typeof files>[0],
      changes: Parameters<typeof job>[1] = {},
      prepare: (tree: string) => void = () => {},
    ) => {
      freshState();
      const tree = join(state, 'tree');
      mkdirSync(join(tree, 'etc'), { recursive: true });
      mkdirSync(join(tree, 'usr'));
      mkdirSync(join(state, 'sets'));
      symlinkSync('etc', join(tree, 'inside'));
      symlinkSync('/', join(tree, 'outside'));
      symlinkSync('../..', join(tree, 'upwards'));
      symlinkSync('/etc/passwd', join(tree, 'usr/link'));
      writeFileSync(join(tree, 'etc/old'), 'old');
      execFileSync('ln', [join(tree, 'etc/old'), join(tree, 'etc/twin')]);
      writeFileSync(
        join(tree, 'etc/master.passwd'),
        'root:*:0:0::0:0:x:/root:/bin/sh\nwww:*:80:81::0:0:x:/:/bin/sh\n',
      );
      writeFileSync(join(tree, 'etc/group'), 'wheel:*:0:root\nwww:*:8080:\n');
      prepare(tree);
      const none = ['1', '2', '3'].flatMap((n) =>
        ['path', 'mode', 'uid', 'gid', 'content'].map((key) => [`file.${n}.${key}`, undefined]),
      );
      writeFileSync(
        join(state, 'given'),
        `${job(['http://m.example/r'], { ...Object.fromEntries(none), ...files(laid), ...changes }).join('\n')}\n`,
      );
      const { status, stdout, stderr } = run(
        'job_load "$1"; printf "0\\n" >"$state/entries"; configure_run',
        join(state, 'given'),
      );
      const [code, message] = stdout.toString().split('\n');
      const spec = existsSync(join(state, 'spec')) ? readFileSync(join(state, 'spec'), 'utf8') : '';
      return { status, code, message, tree, spec, stderr: stderr.toString() };
    };

    it('lands any content under any name, byte for byte, and runs none of it', () => {
      fc.assert(
        fc.property(oneLine, fc.uint8Array({ maxLength: 400 }), (text, bytes) => {
          const name = Buffer.from(text.replaceAll('/', '_')).toString().slice(0, 60) || 'x';
          const path = `/etc/new directory/${name}`;
          const { status, code, message, tree } = lay([{ path, content: Buffer.from(bytes) }]);
          if (status === 0) {
            expect(readFileSync(join(tree, path)).equals(Buffer.from(bytes))).toBe(true);
          } else {
            expect(code).toBe('BadJob');
            expect(message).toContain('file.1.path');
            expect(['.', '..']).toContain(name);
          }
          expect(existsSync(join(state, 'pwned'))).toBe(false);
          expect(existsSync(join(tree, 'pwned'))).toBe(false);
        }),
        { numRuns: 40 },
      );
    }, 60_000);

    it('tells the specification what the file is, and every directory it had to make', () => {
      const { spec, status } = lay([
        { path: '/usr/local/a b#c\\d', content: 'x', mode: '4711', uid: 12, gid: 34 },
      ]);
      expect(status).toBe(0);
      expect(spec).toBe(
        [
          './usr/local type=dir uid=0 gid=0 mode=0755 flags=none time=1795400000.0',
          './usr/local/a\\040b\\043c\\134d type=file uid=12 gid=34 mode=4711 flags=none time=1795400000.0',
          '',
        ].join('\n'),
      );
    });

    it('replaces a file without touching what it was linked to', () => {
      const { tree } = lay([{ path: '/etc/old', content: 'new' }]);
      expect(readFileSync(join(tree, 'etc/old'), 'utf8')).toBe('new');
      expect(readFileSync(join(tree, 'etc/twin'), 'utf8')).toBe('old');
    });

    it('replaces a symbolic link and does not write through it', () => {
      const before = readFileSync('/etc/passwd', 'utf8');
      const { tree, status } = lay([{ path: '/usr/link', content: 'mine' }]);
      expect(status).toBe(0);
      expect(readFileSync(join(tree, 'usr/link'), 'utf8')).toBe('mine');
      expect(readFileSync('/etc/passwd', 'utf8')).toBe(before);
    });

    it('follows a symbolic link that stays inside', () => {
      const { tree, spec } = lay([{ path: '/inside/file', content: 'x' }]);
      expect(readFileSync(join(tree, 'etc/file'), 'utf8')).toBe('x');
      expect(spec).toContain('./etc/file type=file');
    });

    it.each([
      ['/outside/new/file', 'new/file'],
      ['/upwards/new/file', 'new/file'],
      ['/outside/inside/new/file', 'etc/new/file'],
    ])('takes a link for what it is to the image, never out of it: %s', (path, landed) => {
      const { status, tree, spec } = lay([{ path, content: 'x' }]);
      expect(status).toBe(0);
      expect(readFileSync(join(tree, landed), 'utf8')).toBe('x');
      expect(spec).toContain(`./${landed} type=file`);
      expect(existsSync('/new')).toBe(false);
      expect(existsSync(join(scratch, 'new'))).toBe(false);
    });

    it.each(['/inside/../../escaped', '/etc/old/below', '/etc'])('refuses %s with BadJob', (path) => {
      const { status, code, message } = lay([{ path, content: 'x' }]);
      expect({ status, code }).toEqual({ status: 1, code: 'BadJob' });
      expect(message).toContain('file.1.path');
      expect(existsSync(join(scratch, 'escaped'))).toBe(false);
    });

    it('looks owners up by name in the image, once the accounts are made', () => {
      const { status, spec } = lay(
        [
          { path: '/etc/a', content: 'x', uid: 'www', gid: 'www' },
          { path: '/etc/b', content: 'x', uid: 'ada', gid: 'wheel' },
          { path: '/etc/c', content: 'x', uid: 5, gid: 'www' },
        ],
        {
          'user.count': 1,
          'user.1.name': 'ada',
          'user.1.uid': 2001,
          'user.1.group': 'ada',
          'user.1.groups': '',
          'user.1.comment': '',
          'user.1.home': '/home/ada',
          'user.1.shell': '/bin/sh',
          'user.1.password': base64('*'),
          'user.1.keys': '',
        },
      );
      expect(status).toBe(0);
      expect(spec).toContain('./etc/a type=file uid=80 gid=8080 mode=0644');
      expect(spec).toContain('./etc/b type=file uid=2001 gid=0 mode=0644');
      expect(spec).toContain('./etc/c type=file uid=5 gid=8080 mode=0644');
    });

    it('is AccountInvalid for an owner that the image does not have', () => {
      const { status, code, message } = lay([{ path: '/etc/a', content: 'x', uid: 'nobody.here' }]);
      expect({ status, code }).toEqual({ status: 1, code: 'AccountInvalid' });
      expect(message).toContain('file.1.uid');
      expect(message).toContain('nobody.here');
    });

    it('takes a file that was fetched', () => {
      const { status, tree, spec } = lay(
        [],
        {
          'file.count': 1,
          'file.1.path': '/etc/old',
          'file.1.mode': '0600',
          'file.1.uid': 0,
          'file.1.gid': 0,
          'file.1.url': 'https://bucket.example/x',
          'file.1.sha256': 'a'.repeat(64),
        },
        () => writeFileSync(join(state, 'sets/file.1'), 'fetched\0bytes'),
      );
      expect(status).toBe(0);
      expect(readFileSync(join(tree, 'etc/old'), 'utf8')).toBe('fetched\0bytes');
      expect(spec).toContain('./etc/old type=file uid=0 gid=0 mode=0600');
    });

    it('makes the directory where data will be mounted, through links too', () => {
      const { tree, spec } = lay([], { ...swapAndData, 'partition.4.mount': '/inside/data/first' });
      expect(existsSync(join(tree, 'etc/data/first'))).toBe(true);
      expect(readFileSync(join(state, 'placed'), 'utf8')).toBe('/etc/data/first\n');
      expect(spec).toContain('./etc/data/first type=dir uid=0 gid=0 mode=0755');
      const again = lay([], { ...swapAndData, 'partition.4.mount': '/etc' });
      expect({ status: again.status, spec: again.spec }).toEqual({ status: 0, spec: '' });
      expect(lay([], { ...swapAndData, 'partition.4.mount': '/etc/old' })).toMatchObject({
        status: 1,
        code: 'BadJob',
      });
    });

    it('handles thousands of files in seconds', () => {
      const laid = Array.from({ length: 4096 }, (_, i) => ({
        path: `/etc/many/${i}`,
        content: `${i}`,
        gid: i % 2 ? 'www' : 0,
      }));
      const began = performance.now();
      const { status, tree, spec } = lay(laid);
      expect(status).toBe(0);
      // Four on an idle machine: one process for each, which decodes it.
      expect(performance.now() - began).toBeLessThan(150_000);
      expect(readFileSync(join(tree, 'etc/many/4095'), 'utf8')).toBe('4095');
      expect(spec.split('\n')).toHaveLength(4098);
      expect(spec).toContain('./etc/many/4095 type=file uid=0 gid=8080');
    }, 200_000);

    describe('an edit', () => {
      interface Edit {
        readonly path?: string;
        readonly comment?: string | Buffer;
        readonly first?: string | Buffer;
        readonly last?: string | Buffer;
      }
      const edit = (
        before: string | Buffer | undefined,
        edits: readonly Edit[],
        prepare: (tree: string) => void = () => {},
      ) =>
        lay(
          [],
          {
            'edit.count': edits.length,
            ...Object.fromEntries(
              edits.flatMap(({ path = '/etc/conf', comment = '', first = '', last = '' }, i) => [
                [`edit.${i + 1}.path`, path],
                [`edit.${i + 1}.comment`, base64(comment)],
                [`edit.${i + 1}.first`, base64(first)],
                [`edit.${i + 1}.last`, base64(last)],
              ]),
            ),
          },
          (tree) => {
            if (before !== undefined) writeFileSync(join(tree, 'etc/conf'), before, { mode: 0o444 });
            prepare(tree);
          },
        );
      const conf = (tree: string) => readFileSync(join(tree, 'etc/conf'), 'latin1');

      it('puts lines in front and at the end, and comments what begins with the word', () => {
        const { status, tree, spec } = edit('ttyv0 on\n  ttyv0\toff\nttyv01 x\n# ttyv0\nttyv0', [
          { comment: 'ttyv0', first: '# made\n', last: 'ttyu0 on\n' },
        ]);
        expect(status).toBe(0);
        expect(conf(tree)).toBe('# made\n#ttyv0 on\n#  ttyv0\toff\nttyv01 x\n# ttyv0\n#ttyv0\nttyu0 on\n');
        // The release's own line in the specification says what it is.
        expect(spec).toBe('');
      });

      it.each([
        '1',
        '01',
        '1e0',
        '\\d',
        '.*',
        '/',
        '&',
        '$1',
        '%s',
        '-n',
        '#',
        '[',
        "it's",
        '"',
        '`id`',
        '$(touch pwned)',
      ])('takes the word %s for nothing but itself', (word) => {
        const before = `${word} a\n1 b\n01 c\n1e0 d\nx\n`;
        const { status, tree } = edit(before, [{ comment: word }]);
        expect(status).toBe(0);
        expect(conf(tree)).toBe(
          before.replaceAll(/^(\S+).*$/gm, (line, first) => (first === word ? `#${line}` : line)),
        );
      });

      it('finds a file by any name', () => {
        fc.assert(
          fc.property(oneLine, (text) => {
            const name = Buffer.from(text.replaceAll('/', '_')).toString().slice(0, 60) || 'x';
            fc.pre(name !== '.' && name !== '..');
            const path = `/etc/ -n/${name}`;
            const { status, tree } = edit(undefined, [
              { path, last: 'b\n' },
              { path, first: 'a\n', comment: 'b' },
            ]);
            expect(status).toBe(0);
            expect(readFileSync(join(tree, path), 'utf8')).toBe('a\n#b\n');
            expect(existsSync(join(tree, 'pwned'))).toBe(false);
          }),
          { numRuns: 20 },
        );
      }, 60_000);

      it('makes a file that is not there', () => {
        const { tree, spec } = edit(undefined, [
          { path: '/etc/deep/-n', comment: 'x', first: 'a\n', last: 'b\n' },
        ]);
        expect(readFileSync(join(tree, 'etc/deep/-n'), 'utf8')).toBe('a\nb\n');
        expect(spec).toContain('./etc/deep type=dir');
        expect(spec).toContain('./etc/deep/-n type=file uid=0 gid=0 mode=0644');
      });

      it('keeps every name of a file, and follows a link to it', () => {
        const { tree } = edit(
          undefined,
          [
            { path: '/etc/old', last: 'more\n' },
            { path: '/link', last: 'linked\n' },
          ],
          (tree) => symlinkSync('/inside/old', join(tree, 'link')),
        );
        expect(readFileSync(join(tree, 'etc/old'), 'utf8')).toBe('old\nmore\nlinked\n');
        expect(readFileSync(join(tree, 'etc/twin'), 'utf8')).toBe('old\nmore\nlinked\n');
        expect(readlinkSync(join(tree, 'link'))).toBe('/inside/old');
      });

      it.each(['/etc', '/loop', '/nowhere', '/up', '/fifo'])('refuses %s with BadJob', (path) => {
        const { status, code, message } = edit('x', [{ path, last: 'y\n' }], (tree) => {
          symlinkSync('loop', join(tree, 'loop'));
          symlinkSync('missing', join(tree, 'nowhere'));
          symlinkSync('..', join(tree, 'up'));
          execFileSync('mkfifo', [join(tree, 'fifo')]);
        });
        expect({ path, status, code }).toEqual({ path, status: 1, code: 'BadJob' });
        expect(message).toContain('edit.1.path');
      });

      it('leaves every byte that it was not asked to change', () => {
        // Lines of bytes without NUL: what a text file may be.
        const bytes = (maximum: number) =>
          fc
            .array(fc.integer({ min: 1, max: 255 }), { maxLength: maximum })
            .map((codes) => Buffer.from(codes));
        const line = bytes(30).map((data) => Buffer.concat([data, Buffer.from('\n')]));
        const text = fc.oneof(
          hostile.map((sent) => Buffer.from(sent.replaceAll('\0', ''))),
          bytes(200),
        );
        fc.assert(
          fc.property(
            text,
            fc.oneof(fc.constant(Buffer.alloc(0)), line),
            fc.oneof(fc.constant(Buffer.alloc(0)), line),
            fc.constantFrom('', '%s%n%d', '$(touch', 'x', '\\n\\t\\0\\c'),
            (before, first, last, word) => {
              const { status, tree } = edit(before, [{ comment: word, first, last }]);
              expect(status).toBe(0);
              const lines = before.toString('latin1').split('\n');
              const middle = lines
                .map((one) => (word !== '' && /[^ \t]+/.exec(one)?.[0] === word ? `#${one}` : one))
                .join('\n');
              const open = middle !== '' && !middle.endsWith('\n') && last.length > 0;
              expect(conf(tree)).toBe(
                `${first.toString('latin1')}${middle}${open ? '\n' : ''}${last.toString('latin1')}`,
              );
              expect(existsSync(join(tree, 'pwned'))).toBe(false);
            },
          ),
          { numRuns: 40 },
        );
      }, 120_000);
    });

    describe('the time zone', () => {
      const zone = (name: string, prepare: (tree: string) => void) => lay([], { timezone: name }, prepare);
      const zones = (tree: string) => {
        mkdirSync(join(tree, 'usr/share/zoneinfo/Europe'), { recursive: true });
        writeFileSync(join(tree, 'usr/share/zoneinfo/Europe/Zurich'), 'TZif\0\n\n');
        symlinkSync('Zurich', join(tree, 'usr/share/zoneinfo/Europe/Vaduz'));
        symlinkSync('/etc/passwd', join(tree, 'usr/share/zoneinfo/Host'));
      };

      it.each(['Europe/Zurich', 'Europe/Vaduz'])('is a copy of %s, with its name beside it', (name) => {
        const { status, tree, spec } = zone(name, (tree) => {
          zones(tree);
          symlinkSync('/usr/share/zoneinfo/UTC', join(tree, 'etc/localtime'));
        });
        expect(status).toBe(0);
        expect(lstatSync(join(tree, 'etc/localtime')).isFile()).toBe(true);
        expect(readFileSync(join(tree, 'etc/localtime'), 'utf8')).toBe('TZif\0\n\n');
        expect(readFileSync(join(tree, 'var/db/zoneinfo'), 'utf8')).toBe(`${name}\n`);
        expect(spec).toContain('./etc/localtime type=file uid=0 gid=0 mode=0444');
        expect(spec).toContain('./var/db/zoneinfo type=file uid=0 gid=0 mode=0644');
      });

      it.each(['Europe', 'Europe/Atlantis', 'Host'])('is BadJob for %s', (name) => {
        const { status, code, message } = zone(name, zones);
        expect({ status, code }).toEqual({ status: 1, code: 'BadJob' });
        expect(message).toContain('timezone');
      });
    });
  });

  describe('extents_of', () => {
    const image = (size: number, writes: readonly (readonly [offset: number, length: number])[]) => {
      freshState();
      const path = join(state, 'image file.img');
      const file = openSync(path, 'w');
      ftruncateSync(file, size);
      // Zeroes on purpose: a written block is data, whatever it contains.
      for (const [offset, length] of writes) writeSync(file, Buffer.alloc(length), 0, length, offset);
      closeSync(file);
      const { stdout, status, stderr } = run('extents_of "$1"', path);
      expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: '' });
      return stdout
        .toString()
        .split('\n')
        .filter(Boolean)
        .map((line) => line.split(' ').map(Number));
    };

    it('is nothing for a file that is one hole', () => {
      expect(image(50 * MIB, [])).toEqual([]);
    });

    it('is the whole of a file without holes, cut or not at a MiB', () => {
      expect(image(3 * MIB, [[0, 3 * MIB]])).toEqual([[0, 3]]);
      expect(image(3 * MIB + 4096, [[0, 3 * MIB + 4096]])).toEqual([[0, 4]]);
      expect(image(4096, [[0, 4096]])).toEqual([[0, 1]]);
      expect(image(0, [])).toEqual([]);
    });

    it('takes written zeroes for data and rounds outward', () => {
      expect(
        image(64 * MIB, [
          [65536, 8192],
          [10 * MIB - 4096, 8192],
          [63 * MIB, 4096],
        ]),
      ).toEqual([
        [0, 1],
        [9, 2],
        [63, 1],
      ]);
    });

    it('copes with thousands of fragments', () => {
      const writes = Array.from({ length: 4000 }, (_, i) => [i * 65536, 4096] as const);
      expect(image(300 * MIB, writes)).toEqual([[0, 250]]);
      const apart = Array.from({ length: 300 }, (_, i) => [i * 3 * MIB, 4096] as const);
      expect(image(1000 * MIB, apart)).toEqual(apart.map((_, i) => [i * 3, 1]));
    });

    it('covers all data, ascending, apart and without a chunk too many', () => {
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.nat(2 ** 14 - 20), fc.integer({ min: 1, max: 20 })), { maxLength: 25 }),
          (blocks) => {
            const got = image(
              64 * MIB,
              blocks.map(([block, count]) => [block * 4096, count * 4096] as const),
            );
            const wanted = new Set<number>();
            for (const [block, count] of blocks)
              for (let b = block; b < block + count; b++) wanted.add(Math.floor((b * 4096) / MIB));
            const covered = got.flatMap(([first = 0, count = 0]) =>
              Array.from({ length: count }, (_, i) => first + i),
            );
            expect(covered).toEqual([...wanted].sort((a, b) => a - b));
            for (let i = 1; i < got.length; i++)
              expect(got[i]?.[0]).toBeGreaterThan((got[i - 1]?.[0] ?? 0) + (got[i - 1]?.[1] ?? 0));
          },
        ),
        { numRuns: 40 },
      );
    }, 60_000);

    it('takes the whole file when the archiver tells nothing', () => {
      freshState();
      const path = join(state, 'x.img');
      writeFileSync(path, Buffer.alloc(2 * MIB + 1));
      chmodSync(path, 0o600);
      expect(run('platform_tar() { return 1; }; extents_of "$1"', path).stdout.toString()).toBe('0 3\n');
    });
  });
});
