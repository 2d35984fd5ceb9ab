/**
 * Bytes that depend on nothing but a name: no clock, no random source, no floating-point functions whose last digit
 * could differ between builds of Node. Two makers of the demo release therefore get the same files.
 */
import { createCipheriv, createHash } from 'node:crypto';

const SEED = 'ami-foundry demo release 1';

function keyOf(name: string): Buffer {
  return createHash('sha256').update(SEED).update('\0').update(name).digest();
}

/** A seeded source of numbers (AES-128 in counter mode over zeros). */
export class Dice {
  readonly #cipher: ReturnType<typeof createCipheriv>;
  #pool = Buffer.alloc(0);
  #used = 0;

  constructor(name: string) {
    this.#cipher = createCipheriv('aes-128-ctr', keyOf(name).subarray(0, 16), Buffer.alloc(16));
  }

  /** An integer from 0 to `limit` - 1; `limit` at most 2^32. The bias of the modulo does not matter here. */
  below(limit: number): number {
    if (this.#used + 4 > this.#pool.length) {
      this.#pool = this.#cipher.update(Buffer.alloc(4096));
      this.#used = 0;
    }
    const value = this.#pool.readUInt32LE(this.#used);
    this.#used += 4;
    return value % limit;
  }

  pick<T>(list: readonly T[]): T {
    const value = list[this.below(list.length)];
    if (value === undefined) throw new RangeError('Nothing to pick from.');
    return value;
  }

  /**
   * A size in bytes, roughly log-normal around `median`: the power of two is a sum of dice (a bell), the rest is even.
   * Of 20,000 sizes (measured) the 1st and the 99th percentile are median / 16 and
   * median × 14, the mean is twice the median.
   */
  size(median: number): number {
    let steps = 0;
    for (let die = 0; die < 16; die++) steps += this.below(3);
    const scaled = median * 2 ** Math.floor((steps - 16) / 2);
    return Math.max(64, Math.floor(scaled * (0.75 + this.below(1000) / 1000)));
  }
}

/** Incompressible bytes. */
export function noise(name: string, offset: number, length: number): Buffer {
  const start = Math.floor(offset / 16);
  const counter = Buffer.alloc(16);
  counter.writeUInt32BE(start, 12);
  const cipher = createCipheriv('aes-128-ctr', keyOf(name).subarray(16, 32), counter);
  const skip = offset - start * 16;
  return cipher.update(Buffer.alloc(skip + length)).subarray(skip);
}

const WORDS = (
  'anchor apple archive arrow atlas barn basin beacon birch board bolt border branch bridge brook bucket cabin ' +
  'candle canvas carbon cedar chalk channel cinder circle cliff clover coast cobalt column copper coral corner ' +
  'cotton crane creek crystal current dawn delta desert dock drift dune eagle early east echo ember engine fable ' +
  'feather fern field flint forest forge fossil frame garden gate glacier grain granite gravel grove harbour hazel ' +
  'hill hollow horizon island ivory jasper juniper kernel kettle lake lantern larch ledge lemon linen log lunar ' +
  'maple marble marsh meadow metal mill mineral mirror moss mountain needle north oak ocean olive orbit orchard ' +
  'otter paper path pebble pepper pine plain planet pond poplar prairie quarry quartz quiet rain raven reed ridge ' +
  'river road root saddle sail salt sand shelf shore signal silver slate snow south spring spruce stone storm stream ' +
  'summer summit table tide timber trail tunnel valley velvet village violet walnut water wave west wheat willow wind ' +
  'winter wood yard yellow'
).split(' ');

/** Prose without meaning, of at least `size` bytes (less than a line more), every line after `comment`. The first line says what the file is. */
export function prose(path: string, size: number, comment: { before: string; after: string }): Buffer {
  const dice = new Dice(`prose ${path}`);
  const lines: string[] = [
    `${comment.before}${path}: part of the ami-foundry demo release, a stand-in. This is not FreeBSD.${comment.after}\n`,
  ];
  // A file repeats its own few sentences: real text compresses about four to one, free dice would not.
  const sentences: string[] = [];
  for (let count = 0; count < 24; count++) {
    const words: string[] = [];
    for (let left = 6 + dice.below(8); left > 0; left--) words.push(dice.pick(WORDS));
    sentences.push(words.join(' '));
  }
  let length = Buffer.byteLength(lines[0] ?? '');
  while (length < size) {
    const line = `${comment.before}${dice.pick(sentences)}, ${dice.pick(WORDS)} ${dice.below(100)}.${comment.after}\n`;
    lines.push(line);
    length += line.length;
  }
  return Buffer.from(lines.join(''));
}
