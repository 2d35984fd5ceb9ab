import { DIRECT_BLOCKS } from './format.ts';

/** Counts the indirect blocks of a file while its data blocks are named in ascending order. */
export class IndirectCounter {
  blocks = 0;
  readonly #perBlock: number;
  #single = -1;
  #double = -1;
  #triple = false;

  /** @param pointersPerBlock addresses in one indirect block (NINDIR) */
  constructor(pointersPerBlock: number) {
    this.#perBlock = pointersPerBlock;
  }

  /** Data blocks `from` up to, not including, `to` exist. */
  range(from: number, to: number): void {
    const n = this.#perBlock;
    const first = Math.max(from, DIRECT_BLOCKS) - DIRECT_BLOCKS;
    const last = to - 1 - DIRECT_BLOCKS;
    if (last < first) return;
    // Blocks past the direct ones fall into groups of n, each with an indirect block of its own.
    const fromGroup = Math.floor(first / n);
    const toGroup = Math.floor(last / n);
    for (let group = Math.max(fromGroup, this.#single + 1); group <= toGroup; group++) {
      this.blocks++;
      this.#single = group;
      // Group 0 hangs in the inode, the next n in the double indirect block, the rest below the triple.
      const parent = group === 0 ? -1 : Math.floor((group - 1) / n);
      if (parent > this.#double) {
        this.blocks++;
        this.#double = parent;
        if (parent > 0 && !this.#triple) {
          this.#triple = true;
          this.blocks++;
        }
      }
    }
  }
}
