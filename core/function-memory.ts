/** Node with the largest bundle takes 70 MB; the rest is CPU share, which grows with memory, for a start well under a second. */
const MEMORY_MEGABYTES = 256;

/** It holds a piece of 128 MiB, hashes it twice and has 16 requests on their way: a full processor, and the network that comes with it. */
const WRITE_BLOCKS_MEGABYTES = 1769;

/** Megabytes of a function, which Lambda bills by; infra/ deploys with them, and receipts count with them. */
export const memoryOf = (functionName: string): number =>
  functionName === 'write-blocks' ? WRITE_BLOCKS_MEGABYTES : MEMORY_MEGABYTES;
