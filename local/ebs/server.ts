import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GIBIBYTE } from '../ec2/disks.ts';
import type { Region } from '../ec2/region.ts';
import { bodyOf } from '../front/request.ts';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { BLOCK_BYTES } from './block-size.ts';
import type { BlockStore } from './block-store.ts';
import { EbsError, invalid } from './errors.ts';
import { getSnapshotBlock, listChangedBlocks, listSnapshotBlocks } from './reading.ts';
import { completeSnapshot, expireLater, startSnapshot, writable } from './snapshots.ts';
import type { EbsThrottle } from './throttle.ts';

/** Room for a body that is too long by a little, so that the answer can say so. */
const BODY_LIMIT_BYTES = 2 * BLOCK_BYTES;

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A block; else JSON. */
  readonly body: object | Buffer;
}

/** A request as its action reads it. */
interface Call {
  readonly snapshotId: string;
  readonly index: number;
  readonly header: (name: string) => string | undefined;
  readonly query: URLSearchParams;
  readonly body: Buffer;
}

type Action = (call: Call) => Promise<Answer>;

/** Answers the EBS direct APIs (rest-json; API Reference 2019-11-02): read, throttle, act, persist, answer. */
export class EbsServer {
  readonly #region: Region;
  readonly #blocks: BlockStore;
  readonly #throttle: EbsThrottle | undefined;

  constructor(parts: {
    region: Region;
    blocks: BlockStore;
    throttle: EbsThrottle | undefined;
  }) {
    this.#region = parts.region;
    this.#blocks = parts.blocks;
    this.#throttle = parts.throttle;
    // What was being written when the cloud stopped goes on; its time ran on.
    for (const snapshot of this.#region.snapshots.values()) expireLater(this.#region, snapshot);
  }

  async answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    let answer: Answer;
    try {
      const body = await bodyOf(request, BODY_LIMIT_BYTES);
      answer = await this.#call(request, url, body);
    } catch (error) {
      answer = this.#failure(error);
    }
    const { status, headers = {}, body } = answer;
    response.writeHead(status, {
      'content-type': Buffer.isBuffer(body) ? 'application/octet-stream' : 'application/json',
      'x-amzn-requestid': randomUUID(),
      ...headers,
    });
    response.end(Buffer.isBuffer(body) ? body : JSON.stringify(body, epochSeconds));
  }

  async #call(request: IncomingMessage, url: URL, body: Buffer): Promise<Answer> {
    const route = routeOf(request.method ?? '', url.pathname);
    if (route === undefined) throw unsupported(`the EBS direct API ${request.method} ${url.pathname}`);
    const { action, snapshotId, index } = route;
    const header = (name: string): string | undefined => {
      const value = request.headers[name.toLowerCase()];
      return Array.isArray(value) ? value.join(',') : value;
    };
    const call: Call = { snapshotId, index, header, query: url.searchParams, body };
    this.#throttle?.take(action, snapshotId);
    const answer = await this.#actions[action](call);
    if (action === 'StartSnapshot' || action === 'CompleteSnapshot') await this.#region.save();
    return answer;
  }

  readonly #actions: Record<ActionName, Action> = {
    StartSnapshot: async ({ body }) => ({
      status: 201,
      body: await startSnapshot(this.#region, this.#blocks, jsonOf(body)),
    }),

    PutSnapshotBlock: async ({ snapshotId, index, header, body }) => {
      const snapshot = writable(this.#region, snapshotId);
      const sha256 = header('x-amz-Checksum');
      const length = header('x-amz-Data-Length');
      const progress = header('x-amz-Progress');
      if (header('x-amz-Checksum-Algorithm') !== 'SHA256') {
        throw invalid('INVALID_PARAMETER_VALUE', 'ChecksumAlgorithm is SHA256.');
      }
      if (length !== String(BLOCK_BYTES) || body.length !== BLOCK_BYTES) {
        throw invalid(
          'INVALID_BLOCK',
          `A block has ${BLOCK_BYTES} bytes, not ${length} (${body.length} came).`,
        );
      }
      if (index * BLOCK_BYTES >= snapshot.size * GIBIBYTE) {
        throw invalid('INVALID_BLOCK', `Block ${index} lies behind the end of ${snapshot.size} GiB.`);
      }
      if (progress !== undefined && !/^(\d{1,2}|100)$/.test(progress)) {
        throw invalid('INVALID_PARAMETER_VALUE', 'Progress is 0 to 100.');
      }
      // PutSnapshotBlock, BlockData: the checksum "is validated against the data".
      const found = createHash('sha256').update(body).digest('base64');
      if (found !== sha256)
        throw invalid('INVALID_BLOCK', `The checksum of the block is ${found}, not ${sha256}.`);
      await this.#blocks.put(snapshotId, index, body, found);
      snapshot.writing.touched = this.#region.clock.now();
      if (progress !== undefined) snapshot.progress = `${progress}%`;
      return {
        status: 201,
        headers: { 'x-amz-Checksum': found, 'x-amz-Checksum-Algorithm': 'SHA256' },
        body: {},
      };
    },

    CompleteSnapshot: async ({ snapshotId, header }) => ({
      status: 202,
      body: await completeSnapshot(this.#region, this.#blocks, {
        SnapshotId: snapshotId,
        ChangedBlocksCount: numberOf(header('x-amz-ChangedBlocksCount')),
        Checksum: header('x-amz-Checksum'),
        ChecksumAlgorithm: header('x-amz-Checksum-Algorithm') as 'SHA256' | undefined,
        ChecksumAggregationMethod: header('x-amz-Checksum-Aggregation-Method') as 'LINEAR' | undefined,
      }),
    }),

    ListSnapshotBlocks: async ({ snapshotId, query }) => ({
      status: 200,
      body: await listSnapshotBlocks(this.#region, this.#blocks, {
        SnapshotId: snapshotId,
        ...paging(query),
      }),
    }),

    ListChangedBlocks: async ({ snapshotId, query }) => ({
      status: 200,
      body: await listChangedBlocks(this.#region, this.#blocks, {
        FirstSnapshotId: query.get('firstSnapshotId') ?? undefined,
        SecondSnapshotId: snapshotId,
        ...paging(query),
      }),
    }),

    GetSnapshotBlock: async ({ snapshotId, index, query }) => {
      const { data, sha256 } = await getSnapshotBlock(this.#region, this.#blocks, {
        snapshotId,
        index,
        token: query.get('blockToken'),
      });
      return {
        status: 200,
        headers: {
          'x-amz-Data-Length': String(data.length),
          'x-amz-Checksum': sha256,
          'x-amz-Checksum-Algorithm': 'SHA256',
        },
        body: data,
      };
    },
  };

  #failure(error: unknown): Answer {
    const known = error instanceof ServiceError;
    if (!known) this.#region.log(`ebs: ${error instanceof Error ? error.stack : String(error)}`);
    const code = known ? error.name : 'InternalServerException';
    const reason = error instanceof EbsError ? error.reason : undefined;
    return {
      status: known ? error.statusCode : 500,
      headers: { 'x-amzn-errortype': code },
      body: {
        __type: code,
        Message: known ? error.message : `local cloud: ${String(error)}`,
        ...(reason === undefined ? {} : { Reason: reason }),
      },
    };
  }
}

type ActionName =
  | 'StartSnapshot'
  | 'PutSnapshotBlock'
  | 'CompleteSnapshot'
  | 'ListSnapshotBlocks'
  | 'ListChangedBlocks'
  | 'GetSnapshotBlock';

const routes: readonly (readonly [method: string, path: RegExp, action: ActionName])[] = [
  ['POST', /^\/snapshots$/, 'StartSnapshot'],
  ['POST', /^\/snapshots\/completion\/([^/]+)$/, 'CompleteSnapshot'],
  ['PUT', /^\/snapshots\/([^/]+)\/blocks\/(\d+)$/, 'PutSnapshotBlock'],
  ['GET', /^\/snapshots\/([^/]+)\/blocks\/(\d+)$/, 'GetSnapshotBlock'],
  ['GET', /^\/snapshots\/([^/]+)\/blocks$/, 'ListSnapshotBlocks'],
  ['GET', /^\/snapshots\/([^/]+)\/changedblocks$/, 'ListChangedBlocks'],
];

function routeOf(method: string, path: string) {
  for (const [verb, pattern, action] of routes) {
    const found = verb === method ? pattern.exec(path) : null;
    if (found)
      return { action, snapshotId: decodeURIComponent(found[1] ?? ''), index: Number(found[2] ?? 0) };
  }
  return undefined;
}

function jsonOf(body: Buffer): Record<string, unknown> {
  try {
    return JSON.parse(body.toString('utf8')) as Record<string, unknown>;
  } catch (error) {
    throw invalid('INVALID_PARAMETER_VALUE', `The body is not JSON: ${String(error)}`);
  }
}

const numberOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;

const paging = (query: URLSearchParams) => ({
  NextToken: query.get('pageToken') ?? undefined,
  MaxResults: numberOf(query.get('maxResults') ?? undefined),
  StartingBlockIndex: numberOf(query.get('startingBlockIndex') ?? undefined),
});

/** rest-json sends times as epoch seconds in bodies. */
function epochSeconds(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const original = this[key];
  return original instanceof Date ? original.getTime() / 1000 : value;
}
