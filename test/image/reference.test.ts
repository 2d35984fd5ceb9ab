import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ImageFileReader } from '../../image/image-file.ts';
import { MtreeReader } from '../../image/mtree.ts';
import { checkFileSystem } from '../../image/ufs2/checker.ts';
import { decodeGroup } from '../../image/ufs2/cylinder-group.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, typeName } from '../../image/ufs2/format.ts';
import { type ByteReader, FileSystemReader, type WalkEntry } from '../../image/ufs2/reader.ts';
import { FileTree, ROOT } from '../../image/ufs2/tree.ts';
import { type DataRange, type FileContents, writeFileSystem } from '../../image/ufs2/writer.ts';
import { judge, referenceImage, referenceText, removeReferenceImages } from './reference-images.ts';
import { MemoryImage } from './synthetic-image.ts';

const KINDS = ['newfs', 'makefs'] as const;
const files = new Map<string, ImageFileReader>();
function image(kind: (typeof KINDS)[number]): ImageFileReader {
  let file = files.get(kind);
  if (file === undefined) {
    file = new ImageFileReader(referenceImage(kind));
    files.set(kind, file);
  }
  return file;
}

beforeAll(() => {
  judge('xz');
  for (const kind of KINDS) image(kind);
});
afterAll(() => {
  for (const file of files.values()) file.close();
  removeReferenceImages();
});

/** The entries of tree.mtree with what our own mtree reader ignores. */
function specification(): Map<string, Map<string, string>> {
  const entries = new Map<string, Map<string, string>>();
  for (const line of referenceText('tree.mtree').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [path = '', ...words] = line.split(' ');
    entries.set(path, new Map(words.map((word) => [word.split('=')[0] ?? '', word.split('=')[1] ?? ''])));
  }
  return entries;
}

/** The specification as our mtree reader understands it. */
function specTree(): FileTree {
  const tree = new FileTree();
  const reader = new MtreeReader(tree);
  reader.write(referenceText('tree.mtree'));
  reader.end();
  return tree;
}

/** Everything but `.snap`, which newfs(8) makes by itself. */
function entriesOf(reader: FileSystemReader): WalkEntry[] {
  return [...reader.walk()].filter(({ path }) => path !== './.snap');
}

describe.each(KINDS)('the image of %s', (kind) => {
  test('passes the checker', () => {
    expect(checkFileSystem(image(kind)).findings).toEqual([]);
  });

  test('gives the counts that fsck_ffs printed', () => {
    const report = checkFileSystem(image(kind));
    const printed = /(\d+) files, (\d+) used, \d+ free \((\d+) frags, (\d+) blocks/.exec(
      referenceText(`fsck-${kind}.txt`),
    );
    expect([report.files, report.used, report.freeFragments, report.freeBlocks]).toEqual(
      printed?.slice(1).map(Number),
    );
  });

  test('has the check hashes that dumpfs names', () => {
    const named = /^check hashes\s+(.*?)\s*$/m.exec(referenceText(`dumpfs-${kind}.txt`))?.[1] ?? '';
    expect(checkFileSystem(image(kind)).checkHashes.join(' ')).toBe(named);
    expect(checkFileSystem(image(kind)).checkHashes).toHaveLength(kind === 'newfs' ? 3 : 0);
  });

  test('has the superblock fields that dumpfs printed', () => {
    const { superblock } = new FileSystemReader(image(kind));
    const text = referenceText(`dumpfs-${kind}.txt`).split('\n\ncg 0')[0] ?? '';
    const names = {
      ncg: 'fs_ncg',
      size: 'fs_size',
      blocks: 'fs_dsize',
      bsize: 'fs_bsize',
      fsize: 'fs_fsize',
      frag: 'fs_frag',
      fsbtodb: 'fs_fsbtodb',
      symlinklen: 'fs_maxsymlinklen',
      maxbsize: 'fs_maxbsize',
      maxbpg: 'fs_maxbpg',
      maxcontig: 'fs_maxcontig',
      contigsumsize: 'fs_contigsumsize',
      nbfree: 'fs_cstotal_nbfree',
      ndir: 'fs_cstotal_ndir',
      nifree: 'fs_cstotal_nifree',
      nffree: 'fs_cstotal_nffree',
      fpg: 'fs_fpg',
      ipg: 'fs_ipg',
      unrefs: 'fs_unrefs',
      nindir: 'fs_nindir',
      inopb: 'fs_inopb',
      maxfilesize: 'fs_maxfilesize',
      sbsize: 'fs_sbsize',
      cgsize: 'fs_cgsize',
      csaddr: 'fs_csaddr',
      cssize: 'fs_cssize',
      sblkno: 'fs_sblkno',
      cblkno: 'fs_cblkno',
      iblkno: 'fs_iblkno',
      dblkno: 'fs_dblkno',
      cgrotor: 'fs_cgrotor',
      fmod: 'fs_fmod',
      ronly: 'fs_ronly',
      clean: 'fs_clean',
      metaspace: 'fs_metaspace',
      avgfpdir: 'fs_avgfpdir',
      avgfilesize: 'fs_avgfilesize',
      providersize: 'fs_providersize',
    } as const;
    for (const [name, field] of Object.entries(names)) {
      const printed = new RegExp(`(?:^|\\s)${name}\\s+(\\d+)`).exec(text);
      expect([name, superblock[field]]).toEqual([name, Number(printed?.[1])]);
    }
    expect(superblock.fs_volname).toBe('rootfs');
  });

  test('has the cylinder group fields that dumpfs printed', () => {
    const reader = new FileSystemReader(image(kind));
    const { fs_fpg, fs_cblkno, fs_frag, fs_ncg } = reader.superblock;
    const texts = referenceText(`dumpfs-${kind}.txt`)
      .split(/\ncg \d+:\n/)
      .slice(1);
    expect(texts).toHaveLength(fs_ncg);
    for (const [index, text] of texts.entries()) {
      const group = decodeGroup(reader.fragments(index * fs_fpg + fs_cblkno, fs_frag));
      const number = (name: string) => Number(new RegExp(`(?:^|\\s)${name}\\s+(\\d+)`).exec(text)?.[1]);
      expect(group).toMatchObject({
        index: number('cgx'),
        fragments: number('ndblk'),
        inodes: number('niblk'),
        initialisedInodes: number('initiblk'),
        summary: {
          directories: number('ndir'),
          freeBlocks: number('nbfree'),
          freeInodes: number('nifree'),
          freeFragments: number('nffree'),
        },
      });
      expect([...group.fragmentRuns].slice(1)).toEqual(
        /^frsum\s+(.*)$/m.exec(text)?.[1]?.split(/\s+/).map(Number),
      );
    }
  });

  test('lists exactly the specified tree, contents included', () => {
    const reader = new FileSystemReader(image(kind));
    const wanted = specification();
    const tree = specTree();
    const seen = new Set<string>();
    for (const { path, inode } of entriesOf(reader)) {
      const spec = wanted.get(path);
      seen.add(path);
      const node = tree.resolve(path === '.' ? '' : path.slice(2));
      expect({ path, type: typeName(inode.mode), mode: inode.mode }).toEqual({
        path,
        type: spec?.get('type'),
        mode: tree.mode[node],
      });
      expect([path, inode.uid, inode.gid, inode.flags]).toEqual([
        path,
        tree.uid[node],
        tree.gid[node],
        tree.flags[node],
      ]);
      // The two trees were made one after the other, so only times set on purpose agree in both; makefs(8) of 13.2 drops
      // the nanoseconds.
      if ((inode.mode & S_IFMT) === S_IFREG && (kind === 'makefs' || /\/(old|new)$/.test(path))) {
        expect([path, inode.mtime]).toEqual([path, tree.seconds[node]]);
      }
      const type = inode.mode & S_IFMT;
      if (type === S_IFREG) {
        expect([path, inode.size, reader.sha256(inode)]).toEqual([
          path,
          Number(spec?.get('size')),
          spec?.get('sha256digest'),
        ]);
        expect([path, inode.nlink]).toEqual([path, Number(spec?.get('nlink') ?? '1')]);
      } else if (type === S_IFLNK) {
        expect([path, reader.content(inode).toString()]).toEqual([path, spec?.get('link')]);
      } else if (type === S_IFDIR) {
        const below = [...wanted].filter(
          ([other, words]) =>
            words.get('type') === 'dir' && other !== path && other.replace(/\/[^/]*$/, '') === path,
        );
        const snap = kind === 'newfs' && path === '.' ? 1 : 0;
        expect([path, inode.nlink]).toEqual([path, 2 + below.length + snap]);
      }
    }
    expect([...seen].sort()).toEqual([...wanted.keys()].sort());
    expect(seen.size).toBeGreaterThan(600);
  });
});

test('nanoseconds of the specification are an integer without leading zeros', () => {
  // These three files were made in this order; 427.63998000 read as a decimal fraction would break it.
  const tree = specTree();
  const times = ['f393216', 'f393217', 'f425984'].map((name) => {
    const node = tree.resolve(`big/${name}`);
    return (tree.seconds[node] ?? 0) + (tree.nanoseconds[node] ?? 0) / 1e9;
  });
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect(tree.nanoseconds[tree.resolve('big/f393217')]).toBe(63_998_000);
});

/** Takes a tree and its contents out of an image, so that our writer can write it again. */
class ImageContents implements FileContents {
  readonly reader: FileSystemReader;
  readonly numbers = new Map<number, number>();
  #content: Buffer = Buffer.alloc(0);

  constructor(reader: FileSystemReader) {
    this.reader = reader;
  }

  open(node: number): void {
    this.#content = this.reader.content(this.reader.inode(this.numbers.get(node) ?? 0));
  }

  read(target: Uint8Array, offset: number, length: number, position: number): void {
    target.set(this.#content.subarray(position, position + length), offset);
  }

  *ranges(node: number): Generator<DataRange> {
    const { fs_bsize } = this.reader.superblock;
    for (const { level, block } of this.reader.pointers(this.reader.inode(this.numbers.get(node) ?? 0))) {
      if (level === 0) yield { start: block * fs_bsize, end: (block + 1) * fs_bsize };
    }
  }

  close(): void {}
}

function treeOf(bytes: ByteReader): { tree: FileTree; contents: ImageContents } {
  const reader = new FileSystemReader(bytes);
  const contents = new ImageContents(reader);
  const tree = new FileTree();
  const names = new Map<number, number[]>();
  for (const { path, number, inode } of entriesOf(reader)) {
    const type = typeName(inode.mode);
    if (type === null) throw new Error(`${path} has no type`);
    const node = tree.add(path === '.' ? '' : path.slice(2), {
      type,
      mode: inode.mode & 0o7777,
      uid: inode.uid,
      gid: inode.gid,
      flags: inode.flags,
      seconds: inode.mtime,
      nanoseconds: inode.mtimensec,
      size: inode.size,
      ...(type === 'link' ? { target: reader.content(inode).toString('latin1') } : {}),
    });
    if (type === 'file' && inode.blocks * 512 < inode.size) tree.sparse[node] = 1;
    contents.numbers.set(node, number);
    names.set(number, [...(names.get(number) ?? []), node]);
  }
  for (const nodes of names.values()) if (nodes.length > 1) tree.joinLinks(nodes);
  return { tree, contents };
}

describe('our writer, given the tree of the reference', () => {
  const write = (options: {
    minGroups?: number;
    maxContig?: number;
    id: readonly [number, number];
    time: number;
    fillHoles?: boolean;
  }) => {
    const { tree, contents } = treeOf(image('newfs'));
    if (options.fillHoles === true) tree.sparse.fill(0);
    const size = 32 << 20;
    const out = new MemoryImage(size);
    writeFileSystem(tree, contents, out, { ...options, size, label: 'rootfs', softUpdates: true });
    return out;
  };

  /** Fields where we differ from makefs(8) of 13.2 on purpose. */
  const FROM_MAKEFS: Readonly<Record<string, string>> = {
    fs_maxbpg: 'newfs(8): one indirect block; makefs takes all blocks of a group',
    fs_metaspace: 'newfs(8): half of the reserve for metadata; makefs leaves 0',
    fs_sblockactualloc: 'as the kernel writes it; makefs leaves 0',
    fs_old_cstotal_ndir: 'UFS1 field, 0 as newfs(8) has it',
    fs_old_cstotal_nbfree: 'UFS1 field, 0 as newfs(8) has it',
    fs_old_cstotal_nifree: 'UFS1 field, 0 as newfs(8) has it',
    fs_old_cstotal_nffree: 'UFS1 field, 0 as newfs(8) has it',
  };

  test('has the superblock of makefs(8) but for the listed fields', () => {
    const theirs = new FileSystemReader(image('makefs')).superblock;
    const out = write({
      minGroups: 1,
      maxContig: theirs.fs_maxcontig,
      id: [theirs.fs_id0, theirs.fs_id1],
      time: theirs.fs_time,
      // makefs(8) of 13.2 writes holes out.
      fillHoles: true,
    });
    const ours = new FileSystemReader(out).superblock;
    const different = Object.keys(ours).filter(
      (field) => ours[field as keyof typeof ours] !== theirs[field as keyof typeof theirs],
    );
    expect(different.sort()).toEqual(Object.keys(FROM_MAKEFS).sort());
    expect(checkFileSystem(out).findings).toEqual([]);
  });

  /** Fields where we differ from newfs(8) of 13.2 plus the kernel on purpose. */
  const FROM_NEWFS: Readonly<Record<string, string>> = {
    fs_old_inodefmt: '2 as makefs(8): older tools ask for it',
    fs_fsmnt: 'the file system was never mounted',
    fs_mtime: 'the file system was never mounted',
    fs_ckhash: 'no check hashes, as makefs(8)',
    fs_metackhash: 'no check hashes, as makefs(8)',
    fs_flags: 'no check hashes, as makefs(8)',
    fs_cstotal_ndir: 'no .snap directory, as makefs(8)',
    fs_cstotal_nifree: 'no .snap directory, as makefs(8)',
    fs_cstotal_nbfree: 'tails are packed, the kernel spreads them over the groups',
    fs_cstotal_nffree: 'tails are packed, the kernel spreads them over the groups',
  };

  test('has the superblock of newfs(8) but for the listed fields', () => {
    const theirs = new FileSystemReader(image('newfs')).superblock;
    const out = write({ id: [theirs.fs_id0, theirs.fs_id1], time: theirs.fs_time });
    const ours = new FileSystemReader(out).superblock;
    const different = Object.keys(ours).filter(
      (field) => ours[field as keyof typeof ours] !== theirs[field as keyof typeof theirs],
    );
    expect(different.sort()).toEqual(Object.keys(FROM_NEWFS).sort());
    expect(checkFileSystem(out).findings).toEqual([]);
  });

  test('writes the record by which fsck finds the backups, as newfs(8) does', () => {
    const theirs = new FileSystemReader(image('newfs')).superblock;
    const out = write({ id: [theirs.fs_id0, theirs.fs_id1], time: theirs.fs_time });
    const ours = Buffer.alloc(512);
    out.read(65536 - 512, ours, 0, 512);
    expect(ours.equals(readFileSync(referenceImage('newfs')).subarray(65536 - 512, 65536))).toBe(true);
  });

  test('keeps every entry: tree in equals tree out', () => {
    const out = write({ id: [1, 2], time: 1_700_000_000 });
    const list = (bytes: ByteReader) => {
      const reader = new FileSystemReader(bytes);
      return entriesOf(reader)
        .map(({ path, inode }) => ({
          path,
          mode: inode.mode,
          uid: inode.uid,
          gid: inode.gid,
          flags: inode.flags,
          // The reference's root has one link more, from .snap, and its size is that of the directory's history.
          nlink: path === '.' ? null : inode.nlink,
          size: (inode.mode & S_IFMT) === S_IFDIR ? null : inode.size,
          blocks: (inode.mode & S_IFMT) === S_IFDIR ? null : inode.blocks,
          time: [inode.mtime, inode.mtimensec],
          sha256: (inode.mode & S_IFMT) === S_IFDIR ? null : reader.sha256(inode),
        }))
        .sort((a, b) => (a.path < b.path ? -1 : 1));
    };
    expect(list(out)).toEqual(list(image('newfs')));
    expect(ROOT).toBe(0);
  });
});
