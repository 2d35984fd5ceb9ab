import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import { MIB } from './worker-run.ts';

export const BLOCK = 524_288;
export const DISK = 1024 * MIB;
/** What the URLs of a test have in their query. */
export const SECRET = 'X-Amz-Signature=5ec2e7';

/** Takes what is PUT, as S3 does. */
export class Store {
  readonly objects = new Map<string, Buffer>();
  /** Paths in the order in which they came. */
  readonly order: string[] = [];
  /** Status for a path, once; 200 else. */
  readonly refusals = new Map<string, number>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const path = (request.url ?? '').replace(/\?.*/, '').slice(1);
        const status = this.refusals.get(path) ?? 200;
        if (status === 200) {
          this.objects.set(path, Buffer.concat(parts));
          this.order.push(path);
        }
        response.writeHead(status).end();
      });
    });
  }

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  url(path: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${path}?${SECRET}`;
  }

  lines(pieces: number): Record<string, string | number> {
    return {
      'disk.size': DISK,
      'upload.blocks.count': pieces,
      ...Object.fromEntries(
        Array.from({ length: pieces }, (_, n) => [`upload.blocks.${n + 1}`, this.url(`piece-${n + 1}`)]),
      ),
      'upload.index': this.url('index'),
    };
  }

  close(): void {
    this.#server.close();
  }
}

/** The index as the factory's functions will read it: blocks of each piece. */
export function indexOf(text: string) {
  const lines = text.trimEnd().split('\n');
  expect(lines.slice(0, 2)).toEqual(['version 1', `disk ${DISK}`]);
  return lines.slice(2).map((line) => {
    const [, number, digest, ranges = ''] = /^piece (\d+) ([0-9a-f]{64}) ([0-9,-]+)$/.exec(line) ?? [];
    const blocks = ranges.split(',').flatMap((range) => {
      const [first = 0, last = 0] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, n) => first + n);
    });
    return { number: Number(number), digest, blocks };
  });
}
