/** PutSnapshotBlock, DataLength: "the only supported size is 524288 bytes". */
export const BLOCK_BYTES = 524_288;
