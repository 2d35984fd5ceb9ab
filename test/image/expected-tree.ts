import { expect } from 'vitest';
import { checkFileSystem } from '../../image/ufs2/checker.ts';
import { S_IFDIR, S_IFMT, TYPE_BITS } from '../../image/ufs2/format.ts';
import { DINODE, type Inode } from '../../image/ufs2/inode.ts';
import type { FileSystemReader } from '../../image/ufs2/reader.ts';
import type { SyntheticEntry, Written } from './synthetic-image.ts';

/** Compares content with the pattern it was made of; holes must read as zeros. Returns the bytes that are holes. */
export function expectContent(written: Written, path: string, inode: Inode): number {
  const node = written.tree.resolve(path);
  const owner = written.tree.link[node] ?? node;
  let position = 0;
  let holes = 0;
  for (const { bytes, length } of written.reader.pieces(inode)) {
    if (bytes === null) {
      holes += length;
      const sparse = written.contents.sparse.get(owner);
      const data = (sparse ?? []).some(({ start, end }) => start < position + length && end > position);
      if (sparse === undefined || data) throw new Error(`${path}: data at ${position} became a hole`);
    } else {
      const wanted = Buffer.alloc(length);
      written.contents.fill(owner, wanted, 0, length, position);
      if (!bytes.equals(wanted)) throw new Error(`${path}: content differs in the block at ${position}`);
    }
    position += length;
  }
  expect([path, position]).toEqual([path, inode.size]);
  return holes;
}

/** Inodes by path without the leading `./`, the root as the empty path. */
export function inodesByPath(reader: FileSystemReader): Map<string, { number: number; inode: Inode }> {
  return new Map(
    [...reader.walk()].map(({ path, number, inode }) => [path.replace(/^\.\/?/, ''), { number, inode }]),
  );
}

/** The image passes the checker and holds exactly these entries, attribute for attribute and byte for byte. */
export function expectTree(written: Written, entries: readonly SyntheticEntry[]): void {
  expect(checkFileSystem(written.image).findings).toEqual([]);
  const found = inodesByPath(written.reader);
  const paths = new Set(['', ...entries.map(({ path }) => path)]);
  expect([...found.keys()].sort()).toEqual([...paths].sort());
  const names = new Map<string, number>();
  const subdirectories = new Map<string, number>();
  for (const { path, type, linkTo } of entries) {
    const inode = linkTo ?? path;
    names.set(inode, (names.get(inode) ?? 0) + 1);
    if (type === 'dir' && path !== '') {
      const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
      subdirectories.set(parent, (subdirectories.get(parent) ?? 0) + 1);
    }
  }
  for (const entry of entries) {
    const { path, linkTo } = entry;
    const at = found.get(path);
    if (at === undefined) throw new Error(`${path} is missing`);
    const { inode } = at;
    if (linkTo !== undefined) {
      expect([path, at.number]).toEqual([path, found.get(linkTo)?.number]);
      continue;
    }
    expect({
      path,
      mode: inode.mode,
      uid: inode.uid,
      gid: inode.gid,
      flags: inode.flags,
      nlink: inode.nlink,
      times: [inode.atime, inode.mtime, inode.ctime, inode.birthtime],
      nanoseconds: [inode.atimensec, inode.mtimensec, inode.ctimensec, inode.birthnsec],
    }).toEqual({
      path,
      mode: TYPE_BITS[entry.type] | (entry.mode ?? (entry.type === 'dir' ? 0o755 : 0o644)),
      uid: entry.uid ?? 0,
      gid: entry.gid ?? 0,
      flags: entry.flags ?? 0,
      nlink: entry.type === 'dir' ? 2 + (subdirectories.get(path) ?? 0) : names.get(path),
      times: Array.from({ length: 4 }, () => entry.seconds ?? 1_700_000_000),
      nanoseconds: Array.from({ length: 4 }, () => entry.nanoseconds ?? 0),
    });
    if (entry.type === 'file') {
      expect([path, inode.size]).toEqual([path, entry.size ?? 0]);
      expectContent(written, path, inode);
    } else if (entry.type === 'link') {
      expect([path, written.reader.content(inode).toString('latin1')]).toEqual([path, entry.target]);
    } else if (entry.type === 'char' || entry.type === 'block') {
      const view = new DataView(inode.bytes.buffer, inode.bytes.byteOffset);
      expect([path, view.getUint32(DINODE.db, true), view.getUint32(DINODE.db + 4, true)]).toEqual([
        path,
        entry.device?.low ?? 0,
        entry.device?.high ?? 0,
      ]);
    }
    expect(inode.gen).not.toBe(0);
    expect(inode.mode & S_IFMT).toBe(TYPE_BITS[entry.type]);
  }
  expect(found.get('')?.inode.mode).toBe(S_IFDIR | 0o755);
}
