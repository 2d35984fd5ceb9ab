/**
 * S3, SNS and SQS by fauxqs, in this process and without a port of its own: its `startFauxqs` would listen on all
 * interfaces, and a second hop would copy every body. Its persistence classes are not exported, so they are imported by
 * file; the version is pinned and `test/local/restart.test.ts` fails when they move.
 */

import { mkdir } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { buildApp } from 'fauxqs';
import { bodyOf } from '../front/request.ts';
import { ServiceError } from '../front/service-error.ts';

type App = ReturnType<typeof buildApp>;
type Stores = NonNullable<NonNullable<Parameters<typeof buildApp>[0]>['stores']>;

interface Persistence {
  loadSqsAndSns(sqs: Stores['sqsStore'], sns: Stores['snsStore']): void;
  close(): void;
}
interface FilePersistence {
  loadS3(s3: Stores['s3Store']): void;
  close(): void;
}

/** The emulator, loaded at the first request for it: it takes 0.2 s that a cloud without S3 need not spend. */
export class Storage {
  readonly #directory: string;
  readonly #region: string;
  #app: Promise<App> | undefined;
  #close: (() => void)[] = [];
  #objects: Stores['s3Store'] | undefined;

  constructor(options: { stateDirectory: string; region: string }) {
    this.#directory = options.stateDirectory;
    this.#region = options.region;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#app ??= this.#start();
    const app = await this.#app;
    app.routing(request, response);
  }

  /** Whether an object is there: a path `/bucket/key`, encoded. */
  async has(path: string): Promise<boolean> {
    this.#app ??= this.#start();
    const { statusCode } = await (await this.#app).inject({ method: 'HEAD', url: path });
    return statusCode === 200;
  }

  /** The text of an object, for a service of AWS that reads it on somebody's behalf. */
  async read(bucket: string, key: string): Promise<string> {
    this.#app ??= this.#start();
    const url = `/${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
    const { statusCode, body } = await (await this.#app).inject({ method: 'GET', url });
    if (statusCode === 200) return body;
    const [, message = body] = /<Message>([^<]*)<\/Message>/.exec(body) ?? [];
    throw new Error(`${message} (Service: Amazon S3; Status Code: ${statusCode})`);
  }

  /** Publishes to an SNS topic, as a service of AWS does on its own behalf. */
  async publish(topicArn: string, message: string): Promise<void> {
    this.#app ??= this.#start();
    const app = await this.#app;
    const { statusCode, body } = await app.inject({
      method: 'POST',
      url: '/',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: `AWS4-HMAC-SHA256 Credential=events/20261126/${this.#region}/sns/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`,
      },
      payload: new URLSearchParams({
        Action: 'Publish',
        Version: '2010-03-31',
        TopicArn: topicArn,
        Message: message,
      }).toString(),
    });
    if (statusCode !== 200) throw new Error(`${topicArn}: ${statusCode} ${body}`);
  }

  /** A PUT that is larger than fauxqs's routes allow, put into its store. */
  async putLarge(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    this.#app ??= this.#start();
    await this.#app;
    const [bucket = '', ...rest] = url.pathname.slice(1).split('/').map(decodeURIComponent);
    const body = await bodyOf(request, Number(request.headers['content-length']));
    const type = request.headers['content-type'];
    try {
      const { etag } = this.#objects?.putObject(bucket, rest.join('/'), body, type) ?? { etag: '' };
      response.writeHead(200, { etag }).end();
    } catch (error) {
      throw error instanceof Error && 'code' in error
        ? new ServiceError(String(error.code), error.message, 404)
        : error;
    }
  }

  async #start(): Promise<App> {
    const file = async <T>(name: string) =>
      (await import(new URL(name, import.meta.resolve('fauxqs')).href)) as T;
    const [
      { buildApp },
      { SqsStore },
      { SnsStore },
      { S3Store },
      { PersistenceManager },
      { FileS3Persistence },
    ] = await Promise.all([
      import('fauxqs'),
      file<{ SqsStore: new () => Stores['sqsStore'] }>('sqs/sqsStore.js'),
      file<{ SnsStore: new () => Stores['snsStore'] }>('sns/snsStore.js'),
      file<{ S3Store: new () => Stores['s3Store'] }>('s3/s3Store.js'),
      file<{ PersistenceManager: new (directory: string) => Persistence }>('persistence.js'),
      file<{ FileS3Persistence: new (directory: string) => FilePersistence }>('s3/fileS3Persistence.js'),
    ]);
    const stores = { sqsStore: new SqsStore(), snsStore: new SnsStore(), s3Store: new S3Store() };
    const messages = join(this.#directory, 'messages');
    const objects = join(this.#directory, 'objects');
    await mkdir(messages, { recursive: true });
    await mkdir(objects, { recursive: true });
    const persistence = new PersistenceManager(messages);
    const files = new FileS3Persistence(objects);
    // Loaded before it is wired in, as startFauxqs does: a store that persists while it loads would delete what it reads.
    persistence.loadSqsAndSns(stores.sqsStore, stores.snsStore);
    files.loadS3(stores.s3Store);
    Object.assign(stores.sqsStore, { persistence });
    Object.assign(stores.snsStore, { persistence });
    Object.assign(stores.s3Store, { persistence: files });
    const queues = (stores.sqsStore as unknown as { allQueues(): Iterable<object> }).allQueues();
    for (const queue of queues) Object.assign(queue, { persistence });
    this.#objects = stores.s3Store;
    this.#close = [() => persistence.close(), () => files.close()];
    const app = buildApp({ logger: false, defaultRegion: this.#region, stores });
    await app.ready();
    return app;
  }

  async close(): Promise<void> {
    if (!this.#app) return;
    await (await this.#app).close();
    for (const close of this.#close) close();
  }
}
