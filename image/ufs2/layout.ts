import { ImageError } from '../errors.ts';
import {
  CYLINDER_GROUP_HEADER,
  CYLINDER_GROUP_HEADER_PADDED,
  INODE_SIZE,
  MAX_BLOCK_SIZE,
  MAX_CLUSTER,
  MAX_FRAGMENTS_PER_BLOCK,
  MIN_BLOCK_SIZE,
  MIN_CYLINDER_GROUPS,
  ROOT_INODE,
  roundUp,
  SUMMARY_SIZE,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
} from './format.ts';

export interface GeometryOptions {
  /** Bytes of the volume. */
  readonly size: number;
  readonly blockSize?: number;
  readonly fragmentSize?: number;
  /** Bytes of volume per inode; newfs(8) takes twice the fragment size. */
  readonly density?: number;
  /** Percentage that only the superuser may fill. */
  readonly minfree?: number;
  /** Inodes that the tree needs; without an explicit density it is lowered until they fit. */
  readonly inodes?: number;
  /** Smallest number of cylinder groups aimed at: 4 as newfs(8), 1 as makefs(8). */
  readonly minGroups?: number;
  /** Blocks in one transfer: 32 as newfs(8) with a maxphys of 1 MiB. */
  readonly maxContig?: number;
}

/** Where everything lies. Addresses and lengths are in fragments unless a name says otherwise. */
export interface Layout {
  readonly sizeBytes: number;
  readonly blockSize: number;
  readonly fragmentSize: number;
  readonly frag: number;
  readonly density: number;
  readonly minfree: number;
  readonly size: number;
  readonly superblock: number;
  readonly groupBlock: number;
  readonly inodeBlocks: number;
  readonly dataBlocks: number;
  readonly groups: number;
  readonly fragmentsPerGroup: number;
  readonly inodesPerGroup: number;
  readonly inodesPerBlock: number;
  readonly pointersPerBlock: number;
  readonly groupBytes: number;
  readonly summaryAddress: number;
  readonly summaryBytes: number;
  readonly dataFragments: number;
  readonly maxContig: number;
  readonly clusterSizes: number;
  readonly metaspace: number;
}

/** Bytes of a cylinder group block with its maps (macro CGSIZE in fs.h). */
export function groupBlockBytes(
  fragments: number,
  inodes: number,
  frag: number,
  clusterSizes: number,
  header: number,
): number {
  const clusters = clusterSizes <= 0 ? 0 : clusterSizes * 4 + Math.ceil(Math.floor(fragments / frag) / 8);
  return header + Math.ceil(inodes / 8) + Math.ceil(fragments / 8) + 4 + clusters;
}

function isPowerOfTwo(n: number): boolean {
  return Number.isInteger(n) && n > 0 && 2 ** Math.round(Math.log2(n)) === n;
}

/**
 * Chooses the cylinder groups: as large as one block can describe, and at least `minGroups` of them, like
 * newfs(8) (sbin/newfs/mkfs.c).
 * @throws ImageError `Usage` for impossible parameters, `VolumeTooSmall` when not even the metadata fits,
 *   `TooFewInodes` when an explicit density leaves too few inodes.
 */
export function planLayout(options: GeometryOptions): Layout {
  const blockSize = options.blockSize ?? 32768;
  const fragmentSize = options.fragmentSize ?? blockSize / 8;
  const minfree = options.minfree ?? 8;
  const frag = blockSize / fragmentSize;
  if (!isPowerOfTwo(blockSize) || blockSize < MIN_BLOCK_SIZE || blockSize > MAX_BLOCK_SIZE) {
    throw new ImageError(
      'Usage',
      `block size ${blockSize} is not possible`,
      'use a power of two, 4096 to 65536',
    );
  }
  if (
    !isPowerOfTwo(fragmentSize) ||
    fragmentSize < 512 ||
    frag > MAX_FRAGMENTS_PER_BLOCK ||
    fragmentSize > blockSize
  ) {
    throw new ImageError(
      'Usage',
      `fragment size ${fragmentSize} is not possible with blocks of ${blockSize}`,
      'use an eighth to the whole of the block size, at least 512',
    );
  }
  if (!Number.isInteger(minfree) || minfree < 0 || minfree > 99) {
    throw new ImageError('Usage', `minfree ${minfree} is not a percentage`, 'use 0 to 99');
  }
  if (!Number.isSafeInteger(options.size) || options.size <= 0 || options.size % 512 !== 0) {
    throw new ImageError(
      'Usage',
      `size ${options.size} is not a whole number of sectors`,
      'use a multiple of 512 bytes',
    );
  }
  const inodes = options.inodes ?? 0;
  const floor = fragmentSize;
  let density = options.density ?? 2 * fragmentSize;
  if (!Number.isInteger(density) || density < floor) {
    throw new ImageError('Usage', `density ${density} is below one fragment`, `use at least ${floor} bytes`);
  }
  for (;;) {
    const layout = place(options, blockSize, fragmentSize, frag, minfree, density);
    if (layout.groups * layout.inodesPerGroup - ROOT_INODE >= inodes) return layout;
    if (options.density !== undefined || density === floor) {
      throw new ImageError(
        'TooFewInodes',
        `the tree needs ${inodes} inodes, the file system has ${layout.groups * layout.inodesPerGroup - ROOT_INODE}`,
        'lower density, or raise rootSize',
      );
    }
    density = Math.max(floor, density - fragmentSize);
  }
}

function place(
  options: GeometryOptions,
  blockSize: number,
  fragmentSize: number,
  frag: number,
  minfree: number,
  density: number,
): Layout {
  const size = Math.floor(options.size / fragmentSize);
  const inodesPerBlock = blockSize / INODE_SIZE;
  const inodesPerFragment = fragmentSize / INODE_SIZE;
  const fragmentsPerInode = Math.max(1, Math.floor(density / fragmentSize));
  const maxContig = options.maxContig ?? Math.max(1, Math.floor(1048576 / blockSize));
  const clusterSizes = maxContig > 1 ? Math.min(maxContig, MAX_CLUSTER) : 0;
  const superblock = roundUp(Math.ceil((SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE) / fragmentSize), frag);
  const groupBlock = superblock + roundUp(Math.ceil(SUPERBLOCK_SIZE / fragmentSize), frag);
  const inodeBlocks = groupBlock + frag;
  const inodesFor = (fpg: number) => roundUp(Math.ceil(fpg / fragmentsPerInode), inodesPerBlock);
  const metadataFor = (fpg: number) => inodeBlocks + inodesFor(fpg) / inodesPerFragment;
  const fits = (fpg: number) => {
    const bytes = (header: number) => groupBlockBytes(fpg, inodesFor(fpg), frag, clusterSizes, header);
    const padded = bytes(CYLINDER_GROUP_HEADER_PADDED);
    // fs_cgsize is CGSIZE rounded to fragments: both sizes of the header must round to the same number.
    return (
      padded <= blockSize &&
      roundUp(padded, fragmentSize) === roundUp(bytes(CYLINDER_GROUP_HEADER), fragmentSize)
    );
  };

  // Smallest multiple of a block that leaves fewer than minGroups whole groups, so that the volume ends in the last.
  const minGroups = options.minGroups ?? MIN_CYLINDER_GROUPS;
  let fpg = Math.min(roundUp(Math.floor(size / minGroups) + 1, frag), roundUp(size, frag));
  // A group holds at least its metadata, one block of data and as much space as one block of inodes serves.
  const least = Math.max(
    roundUp(inodeBlocks + inodesPerBlock / inodesPerFragment, frag) + frag,
    fragmentsPerInode * inodesPerBlock,
  );
  fpg = Math.max(fpg, Math.min(roundUp(least, frag), roundUp(size, frag)));
  if (!fits(fpg)) {
    let low = frag;
    let high = fpg;
    // Group bytes grow with fpg but for the rounding of fs_cgsize, which excludes single values only.
    while (high - low > frag) {
      const middle = roundUp((low + high) / 2, frag);
      const padded = groupBlockBytes(
        middle,
        inodesFor(middle),
        frag,
        clusterSizes,
        CYLINDER_GROUP_HEADER_PADDED,
      );
      if (padded <= blockSize) low = middle;
      else high = middle;
    }
    fpg = low;
    while (fpg > frag && !fits(fpg)) fpg -= frag;
  }
  // A last group without room for its own metadata is enlarged at the cost of the others.
  const usable = (candidate: number) => {
    const last = size % candidate;
    return last === 0 || last >= metadataFor(candidate) + frag;
  };
  while (fpg > metadataFor(fpg) + frag && !(usable(fpg) && fits(fpg))) fpg -= frag;
  const groups = Math.ceil(size / fpg);
  const dataBlocks = metadataFor(fpg);
  const summaryBytes = roundUp(groups * SUMMARY_SIZE, fragmentSize);
  const summaryFragments = summaryBytes / fragmentSize;
  const firstGroup = Math.min(fpg, size);
  // A csum of 16 bytes per group lies within the first group: tiny blocks make tiny groups, and far too many of them.
  if (groups > 1 && usable(fpg) && fits(fpg) && fpg < dataBlocks + summaryFragments + frag) {
    throw new ImageError(
      'Usage',
      `blocks of ${blockSize} bytes are too small for a volume of ${options.size} bytes`,
      'raise bsize or density',
    );
  }
  if (!usable(fpg) || !fits(fpg) || firstGroup < dataBlocks + summaryFragments + frag) {
    const needed =
      (inodeBlocks + inodesPerBlock / inodesPerFragment + summaryFragments + frag) * fragmentSize;
    throw new ImageError(
      'VolumeTooSmall',
      `${options.size} bytes cannot hold an empty file system, which needs at least ${needed} bytes`,
      'raise rootSize',
    );
  }
  const inodesPerGroup = inodesFor(fpg);
  // validate_sblock: fs_ipg * fs_ncg must stay below 2^32 - INOPB.
  if (inodesPerGroup * groups > 2 ** 32 - inodesPerBlock) {
    throw new ImageError('Usage', `density ${density} makes more than 2^32 inodes`, 'raise density');
  }
  return {
    sizeBytes: options.size,
    blockSize,
    fragmentSize,
    frag,
    density,
    minfree,
    size,
    superblock,
    groupBlock,
    inodeBlocks,
    dataBlocks,
    groups,
    fragmentsPerGroup: fpg,
    inodesPerGroup,
    inodesPerBlock,
    pointersPerBlock: blockSize / 8,
    groupBytes: roundUp(
      groupBlockBytes(fpg, inodesPerGroup, frag, clusterSizes, CYLINDER_GROUP_HEADER),
      fragmentSize,
    ),
    summaryAddress: dataBlocks,
    summaryBytes,
    dataFragments: size - superblock - groups * (dataBlocks - superblock) - summaryFragments,
    maxContig,
    clusterSizes,
    // newfs(8) sets half of the reserve aside for metadata, in whole blocks.
    metaspace: Math.floor(Math.floor((fpg * minfree) / 200) / frag) * frag,
  };
}

/** First fragment of cylinder group `group`. */
export function groupStart(layout: Layout, group: number): number {
  return group * layout.fragmentsPerGroup;
}

/** Fragments in cylinder group `group`; only the last may be short. */
export function groupLength(layout: Layout, group: number): number {
  return Math.min(layout.fragmentsPerGroup, layout.size - groupStart(layout, group));
}

/** Byte address of inode `inode`. */
export function inodeAddress(layout: Layout, inode: number): number {
  const group = Math.floor(inode / layout.inodesPerGroup);
  const index = inode % layout.inodesPerGroup;
  return (groupStart(layout, group) + layout.inodeBlocks) * layout.fragmentSize + index * INODE_SIZE;
}
