import {
  CYLINDER_GROUP_HEADER,
  CYLINDER_GROUP_MAGIC,
  MAX_FRAGMENTS_PER_BLOCK,
  SUMMARY_SIZE,
} from './format.ts';
import type { Layout } from './layout.ts';
import type { Summary } from './superblock.ts';

/** Where the maps lie inside a cylinder group block, in bytes. */
export interface GroupMaps {
  readonly inodesUsed: number;
  readonly blocksFree: number;
  readonly clusterSums: number;
  readonly clustersFree: number;
  readonly end: number;
}

/** The order and alignment that newfs(8) gives the maps (initcg in sbin/newfs/mkfs.c). */
export function groupMaps(
  layout: Pick<Layout, 'inodesPerGroup' | 'fragmentsPerGroup' | 'clusterSizes' | 'frag'>,
): GroupMaps {
  const inodesUsed = CYLINDER_GROUP_HEADER;
  const blocksFree = inodesUsed + Math.ceil(layout.inodesPerGroup / 8);
  const afterBlocks = blocksFree + Math.ceil(layout.fragmentsPerGroup / 8);
  if (layout.clusterSizes <= 0) {
    return { inodesUsed, blocksFree, clusterSums: 0, clustersFree: 0, end: afterBlocks };
  }
  // Entry 0 of the cluster sums is never used, so it may overlap the end of the map before it.
  const clusterSums = Math.ceil((afterBlocks - 4) / 4) * 4;
  const clustersFree = clusterSums + (layout.clusterSizes + 1) * 4;
  const end = clustersFree + Math.ceil(Math.floor(layout.fragmentsPerGroup / layout.frag) / 8);
  return { inodesUsed, blocksFree, clusterSums, clustersFree, end };
}

/** What follows from a map of free fragments: everything that the kernel trusts without counting. */
export interface FreeSpace {
  freeBlocks: number;
  freeFragments: number;
  /** Index n: runs of n free fragments inside blocks that are partly used. */
  readonly fragmentRuns: Uint32Array;
  /** Index n: runs of n free blocks; the last index counts all longer ones too. */
  readonly clusterRuns: Uint32Array;
  /** One bit per block, set when all its fragments are free. */
  readonly clusters: Uint8Array;
}

/** Counts a map of `fragments` bits, bit set = free. */
export function measureFreeSpace(
  map: Uint8Array,
  fragments: number,
  frag: number,
  clusterSizes: number,
): FreeSpace {
  const blocks = Math.floor(fragments / frag);
  const space: FreeSpace = {
    freeBlocks: 0,
    freeFragments: 0,
    fragmentRuns: new Uint32Array(MAX_FRAGMENTS_PER_BLOCK),
    clusterRuns: new Uint32Array(clusterSizes + 1),
    clusters: new Uint8Array(Math.ceil(blocks / 8)),
  };
  const full = (1 << frag) - 1;
  let run = 0;
  const endRun = () => {
    if (run > 0 && clusterSizes > 0) {
      const size = Math.min(run, clusterSizes);
      space.clusterRuns[size] = (space.clusterRuns[size] ?? 0) + 1;
    }
    run = 0;
  };
  // A last block that is cut short has fragments but never counts as a block.
  for (let block = 0; block * frag < fragments; block++) {
    const first = block * frag;
    let bits = ((map[first >> 3] ?? 0) >> (first & 7)) & full;
    if (block < blocks && bits === full) {
      space.freeBlocks++;
      space.clusters[block >> 3] = (space.clusters[block >> 3] ?? 0) | (1 << (block & 7));
      run++;
      continue;
    }
    endRun();
    if (block === blocks) bits &= (1 << (fragments - first)) - 1;
    let length = 0;
    for (let i = 0; i <= frag; i++) {
      if (i < frag && (bits & (1 << i)) !== 0) {
        length++;
      } else if (length > 0) {
        space.fragmentRuns[length] = (space.fragmentRuns[length] ?? 0) + 1;
        space.freeFragments += length;
        length = 0;
      }
    }
  }
  endRun();
  return space;
}

/** Everything a cylinder group block says. */
export interface CylinderGroup {
  readonly index: number;
  readonly magic: number;
  readonly fragments: number;
  readonly summary: Summary;
  readonly fragmentRuns: Uint32Array;
  readonly maps: GroupMaps;
  readonly clusterBlocks: number;
  readonly inodes: number;
  readonly initialisedInodes: number;
  readonly unreferenced: number;
  readonly checkHash: number;
  readonly time: number;
  readonly rotor: number;
  readonly fragmentRotor: number;
  readonly inodeRotor: number;
}

/** Field offsets of `struct cg` (sys/ufs/ffs/fs.h). */
export const CG = {
  magic: 4,
  cgx: 12,
  ndblk: 20,
  cs: 24,
  rotor: 40,
  frotor: 44,
  irotor: 48,
  frsum: 52,
  iusedoff: 92,
  freeoff: 96,
  nextfreeoff: 100,
  clustersumoff: 104,
  clusteroff: 108,
  nclusterblks: 112,
  niblk: 116,
  initediblk: 120,
  unrefs: 124,
  ckhash: 132,
  time: 136,
} as const;

/** Writes a `struct csum` at `offset`. */
export function encodeSummary(view: DataView, offset: number, summary: Summary): void {
  view.setInt32(offset, summary.directories, true);
  view.setInt32(offset + 4, summary.freeBlocks, true);
  view.setInt32(offset + 8, summary.freeInodes, true);
  view.setInt32(offset + 12, summary.freeFragments, true);
}

/** Reads a `struct csum` at `offset`. */
export function decodeSummary(view: DataView, offset: number): Summary {
  return {
    directories: view.getInt32(offset, true),
    freeBlocks: view.getInt32(offset + 4, true),
    freeInodes: view.getInt32(offset + 8, true),
    freeFragments: view.getInt32(offset + 12, true),
  };
}

export const SUMMARY_BYTES = SUMMARY_SIZE;

/**
 * The block of one cylinder group, `layout.groupBytes` long.
 * @param freeMap bit per fragment of the group, set = free
 * @param inodesUsed inodes in use, which are the first of the group
 * @param initialised inodes whose blocks hold valid bytes (cg_initediblk)
 */
export function encodeGroup(
  layout: Layout,
  index: number,
  fragments: number,
  freeMap: Uint8Array,
  inodesUsed: number,
  initialised: number,
  directories: number,
  time: number,
): { block: Uint8Array; summary: Summary } {
  const block = new Uint8Array(layout.groupBytes);
  const view = new DataView(block.buffer);
  const maps = groupMaps(layout);
  const space = measureFreeSpace(freeMap, fragments, layout.frag, layout.clusterSizes);
  const summary: Summary = {
    directories,
    freeBlocks: space.freeBlocks,
    freeInodes: layout.inodesPerGroup - inodesUsed,
    freeFragments: space.freeFragments,
  };
  view.setInt32(CG.magic, CYLINDER_GROUP_MAGIC, true);
  view.setUint32(CG.cgx, index, true);
  view.setUint32(CG.ndblk, fragments, true);
  encodeSummary(view, CG.cs, summary);
  for (let n = 1; n < MAX_FRAGMENTS_PER_BLOCK; n++) {
    view.setUint32(CG.frsum + n * 4, space.fragmentRuns[n] ?? 0, true);
  }
  view.setUint32(CG.iusedoff, maps.inodesUsed, true);
  view.setUint32(CG.freeoff, maps.blocksFree, true);
  view.setUint32(CG.nextfreeoff, maps.end, true);
  view.setUint32(CG.niblk, layout.inodesPerGroup, true);
  view.setUint32(CG.initediblk, initialised, true);
  view.setBigInt64(CG.time, BigInt(time), true);
  setLeadingBits(block, maps.inodesUsed, inodesUsed);
  block.set(freeMap.subarray(0, Math.ceil(layout.fragmentsPerGroup / 8)), maps.blocksFree);
  if (layout.clusterSizes > 0) {
    view.setUint32(CG.clustersumoff, maps.clusterSums, true);
    view.setUint32(CG.clusteroff, maps.clustersFree, true);
    view.setUint32(CG.nclusterblks, Math.floor(fragments / layout.frag), true);
    for (let n = 1; n <= layout.clusterSizes; n++) {
      view.setUint32(maps.clusterSums + n * 4, space.clusterRuns[n] ?? 0, true);
    }
    block.set(space.clusters, maps.clustersFree);
  }
  return { block, summary };
}

function setLeadingBits(block: Uint8Array, offset: number, count: number): void {
  block.fill(0xff, offset, offset + (count >> 3));
  if ((count & 7) !== 0) block[offset + (count >> 3)] = (1 << (count & 7)) - 1;
}

/** Reads the header of a cylinder group block; makes no judgement. */
export function decodeGroup(block: Uint8Array): CylinderGroup {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const u32 = (offset: number) => view.getUint32(offset, true);
  const fragmentRuns = new Uint32Array(MAX_FRAGMENTS_PER_BLOCK);
  for (let n = 0; n < MAX_FRAGMENTS_PER_BLOCK; n++) fragmentRuns[n] = u32(CG.frsum + n * 4);
  return {
    index: u32(CG.cgx),
    magic: u32(CG.magic),
    fragments: u32(CG.ndblk),
    summary: decodeSummary(view, CG.cs),
    fragmentRuns,
    maps: {
      inodesUsed: u32(CG.iusedoff),
      blocksFree: u32(CG.freeoff),
      clusterSums: u32(CG.clustersumoff),
      clustersFree: u32(CG.clusteroff),
      end: u32(CG.nextfreeoff),
    },
    clusterBlocks: u32(CG.nclusterblks),
    inodes: u32(CG.niblk),
    initialisedInodes: u32(CG.initediblk),
    unreferenced: u32(CG.unrefs),
    checkHash: u32(CG.ckhash),
    time: Number(view.getBigInt64(CG.time, true)),
    rotor: u32(CG.rotor),
    fragmentRotor: u32(CG.frotor),
    inodeRotor: u32(CG.irotor),
  };
}
