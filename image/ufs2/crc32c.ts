const TABLE = new Uint32Array(256);
for (let n = 0; n < 256; n++) {
  let c = n;
  // Castagnoli polynomial, reflected.
  for (let bit = 0; bit < 8; bit++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  TABLE[n] = c >>> 0;
}

/**
 * The check hash of UFS metadata: CRC-32C begun with all ones and, unlike the usual CRC-32C, not inverted at the end
 * (calculate_crc32c(~0, …) in FreeBSD's sys/libkern/gsb_crc32.c). The four bytes at `hole` count as zero: the hash is
 * stored inside what it covers.
 */
export function checkHash(bytes: Uint8Array, hole: number): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) {
    const byte = i >= hole && i < hole + 4 ? 0 : (bytes[i] ?? 0);
    crc = ((TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8)) >>> 0;
  }
  return crc;
}
