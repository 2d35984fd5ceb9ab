import { randomBytes, randomUUID } from 'node:crypto';
import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../clock.ts';
import { LOCAL_CREDENTIALS } from '../front/front.ts';
import { ServiceError } from '../front/service-error.ts';
import type { RoleCredentials } from '../iam/iam.ts';
import type { ErrorPayload, InvocationMessage, ThreadData, ThreadMessage } from './thread.ts';

export interface FunctionSettings {
  name: string;
  /** Path of the bundle's `index.mjs`. */
  bundle: string;
  /** The role that it runs with; without one it has the keys of the account's owner. */
  role?: string;
  /** Name of the export that is the handler. */
  handler: string;
  environment: Readonly<Record<string, string>>;
  timeoutSeconds: number;
  memoryMegabytes: number;
}

/** A function's answer. With `functionError` the payload is `{ errorType, errorMessage, trace }`. */
export interface InvokeResult {
  payload: unknown;
  functionError?: 'Unhandled';
}

/** "Lambda quotas": 6 MB each way for synchronous invocations. */
const PAYLOAD_BYTES = 6 * 1024 * 1024;
/** "Lambda quotas": 900 s; memory 128 MB to 10,240 MB. */
const MAX_TIMEOUT_SECONDS = 900;
const MEMORY_MEGABYTES = [128, 10_240] as const;
/** "Understanding the Lambda execution environment lifecycle": Init may take 10 s. */
const INIT_MILLISECONDS = 10_000;

const THREAD = new URL('thread.ts', import.meta.url);

/** One call of a function that has not ended. */
export interface Invocation {
  readonly requestId: string;
  readonly functionName: string;
  readonly payload: unknown;
}

interface Thread {
  worker: Worker;
  /** Goes with the credentials of the function, as Lambda's does; so what it calls can be told from what others call. */
  sessionToken: string;
  invocation: Invocation | undefined;
  logStreamName: string;
  ready: Promise<void>;
  /** What ends the invocation that runs, if one runs. */
  settle: ((message: ThreadMessage | { kind: 'exit'; code: number }) => void) | undefined;
}

interface DeployedFunction {
  settings: FunctionSettings;
  arn: string;
  idle: Thread[];
  log: WriteStream;
  modified: number;
}

/** Runs functions from their shipped bundles, in worker threads. */
export class LambdaRuntime {
  readonly #clock: Clock;
  readonly #region: string;
  readonly #accountId: string;
  readonly #endpoint: () => string;
  readonly #credentialsOf: (role: string) => RoleCredentials;
  readonly #hostAddress: string | undefined;
  readonly #logDirectory: string;
  readonly #functions = new Map<string, DeployedFunction>();
  readonly #threads = new Set<Thread>();
  #warming: Promise<void> = Promise.resolve();

  constructor(parts: {
    stateDirectory: string;
    clock: Clock;
    region: string;
    accountId: string;
    endpoint: () => string;
    credentialsOf: (role: string) => RoleCredentials;
    /** Where machines find this host. S3's endpoint is there then: what functions sign, machines fetch. */
    hostAddress?: string | undefined;
  }) {
    this.#clock = parts.clock;
    this.#region = parts.region;
    this.#accountId = parts.accountId;
    this.#endpoint = parts.endpoint;
    this.#credentialsOf = parts.credentialsOf;
    this.#hostAddress = parts.hostAddress;
    this.#logDirectory = join(parts.stateDirectory, 'logs');
  }

  /** Makes or replaces a function. No thread starts before the first invocation. */
  async deploy(settings: FunctionSettings): Promise<{ arn: string }> {
    const { name, timeoutSeconds, memoryMegabytes } = settings;
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) throw new Error(`'${name}' is no function name`);
    if (!(timeoutSeconds >= 1 && timeoutSeconds <= MAX_TIMEOUT_SECONDS)) {
      throw new Error(`${name}: timeoutSeconds must be 1 to ${MAX_TIMEOUT_SECONDS}`);
    }
    const [low, high] = MEMORY_MEGABYTES;
    if (!(memoryMegabytes >= low && memoryMegabytes <= high)) {
      throw new Error(`${name}: memoryMegabytes must be ${low} to ${high}`);
    }
    await stat(settings.bundle); // A missing bundle is told now and not at the first invocation.
    await mkdir(this.#logDirectory, { recursive: true });
    const before = this.#functions.get(name);
    for (const thread of before?.idle ?? []) await this.#end(thread);
    const arn = `arn:aws:lambda:${this.#region}:${this.#accountId}:function:${name}`;
    const log = before?.log ?? createWriteStream(join(this.#logDirectory, `${name}.log`), { flags: 'a' });
    // Each thread pipes into it.
    log.setMaxListeners(0);
    this.#functions.set(name, { settings, arn, idle: [], log, modified: this.#clock.now() });
    return { arn };
  }

  list(): { settings: FunctionSettings; arn: string; modified: number }[] {
    return [...this.#functions.values()];
  }

  get(nameOrArn: string): DeployedFunction {
    const name = nameOrArn.replace(/^arn:[^:]+:lambda:[^:]+:[^:]+:function:/, '').replace(/:\$LATEST$/, '');
    const found = this.#functions.get(name);
    if (!found) {
      throw new ServiceError(
        'ResourceNotFoundException',
        `Function not found: arn:aws:lambda:${this.#region}:${this.#accountId}:function:${name}`,
        404,
      );
    }
    return found;
  }

  /** What the function with these credentials is busy with. */
  invocationOf(sessionToken: string): Invocation | undefined {
    return this.#threadOf((thread) => thread.sessionToken === sessionToken)?.invocation;
  }

  /** What functions are busy with. */
  get invocations(): readonly Invocation[] {
    return [...this.#threads].flatMap(({ invocation }) => invocation ?? []);
  }

  /** Ends the execution environment of an invocation, as a crash of its process does: Runtime.ExitError. */
  async kill({ requestId }: Invocation): Promise<void> {
    await this.#threadOf(({ invocation }) => invocation?.requestId === requestId)?.worker.terminate();
  }

  #threadOf(is: (thread: Thread) => boolean): Thread | undefined {
    return [...this.#threads].find(is);
  }

  /** Invokes synchronously. An aborted signal ends the wait and the thread. */
  async invoke(nameOrArn: string, payload: unknown, signal?: AbortSignal): Promise<InvokeResult> {
    const target = this.get(nameOrArn);
    const json = JSON.stringify(payload) ?? 'null';
    if (Buffer.byteLength(json) > PAYLOAD_BYTES) {
      throw new ServiceError(
        'RequestTooLargeException',
        `The request payload exceeded ${PAYLOAD_BYTES} bytes`,
        413,
      );
    }
    signal?.throwIfAborted();
    const requestId = randomUUID();
    const started = this.#clock.now();
    target.log.write(`START RequestId: ${requestId} Version: $LATEST\n`);
    const result = await this.#run(target, requestId, JSON.parse(json), signal);
    target.log.write(
      `END RequestId: ${requestId}\nREPORT RequestId: ${requestId}\tDuration: ${this.#clock.now() - started} ms\n`,
    );
    return result;
  }

  async #run(
    target: DeployedFunction,
    requestId: string,
    payload: unknown,
    signal: AbortSignal | undefined,
  ): Promise<InvokeResult> {
    const thread = target.idle.pop() ?? this.#start(target);
    try {
      await thread.ready;
    } catch (error) {
      await this.#end(thread);
      return { functionError: 'Unhandled', payload: error as ErrorPayload };
    }
    const { settings } = target;
    thread.invocation = { requestId, functionName: settings.name, payload };
    const timer = new AbortController();
    const milliseconds = settings.timeoutSeconds * 1000;
    const message: InvocationMessage = {
      requestId,
      payload,
      functionName: settings.name,
      invokedFunctionArn: target.arn,
      memoryMegabytes: settings.memoryMegabytes,
      logStreamName: thread.logStreamName,
      deadline: Date.now() + milliseconds,
    };
    const answered = new Promise<InvokeResult & { broken?: true }>((resolve) => {
      thread.settle = (answer) => {
        if (answer.kind === 'done') {
          const size = Buffer.byteLength(answer.json);
          resolve(
            size > PAYLOAD_BYTES
              ? failure(
                  'Function.ResponseSizeTooLarge',
                  `Response payload size exceeded maximum allowed payload size (${PAYLOAD_BYTES} bytes).`,
                )
              : { payload: JSON.parse(answer.json) as unknown },
          );
        } else if (answer.kind === 'error') {
          resolve({ functionError: 'Unhandled', payload: answer.error });
        } else if (answer.kind === 'exit') {
          resolve({
            ...failure(
              'Runtime.ExitError',
              `RequestId: ${requestId} Error: Runtime exited with error: exit status ${answer.code}`,
            ),
            broken: true,
          });
        }
      };
      thread.worker.postMessage(message);
    });
    const late = this.#clock.sleep(milliseconds, timer.signal).then(
      () => ({
        ...failure(
          'Sandbox.Timedout',
          `RequestId: ${requestId} Error: Task timed out after ${settings.timeoutSeconds.toFixed(2)} seconds`,
        ),
        broken: true as const,
      }),
      () => new Promise<never>(() => {}), // The answer came first: this racer never ends.
    );
    const aborted = new Promise<never>((_, reject) => {
      // While the thread started nobody listened.
      if (signal?.aborted) reject(signal.reason);
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true, signal: timer.signal });
    });
    try {
      const { broken, ...result } = await Promise.race([answered, late, aborted]);
      thread.settle = undefined;
      thread.invocation = undefined;
      if (broken) await this.#end(thread);
      else if (this.#functions.get(settings.name) === target) target.idle.push(thread);
      else await this.#end(thread); // The function was deployed anew meanwhile.
      return result;
    } catch (error) {
      await this.#end(thread);
      throw error;
    } finally {
      timer.abort();
    }
  }

  #start(target: DeployedFunction): Thread {
    const { settings } = target;
    const hostAddress = this.#hostAddress;
    const data: ThreadData = { bundle: settings.bundle, handler: settings.handler, hostAddress };
    const logStreamName = `${new Date(this.#clock.now()).toISOString().slice(0, 10).replaceAll('-', '/')}/[$LATEST]${randomBytes(16).toString('hex')}`;
    const keys = settings.role === undefined ? undefined : this.#credentialsOf(settings.role);
    const sessionToken = `${keys?.sessionToken ?? ''}${randomBytes(24).toString('base64url')}`;
    const worker = new Worker(THREAD, {
      workerData: data,
      // Nothing of this process's environment: a function must not work because of a laptop's variables.
      env: {
        ...settings.environment,
        AWS_REGION: this.#region,
        AWS_DEFAULT_REGION: this.#region,
        AWS_ACCESS_KEY_ID: (keys ?? LOCAL_CREDENTIALS).accessKeyId,
        AWS_SECRET_ACCESS_KEY: (keys ?? LOCAL_CREDENTIALS).secretAccessKey,
        AWS_SESSION_TOKEN: sessionToken,
        AWS_ENDPOINT_URL: this.#endpoint(),
        ...(hostAddress && { AWS_ENDPOINT_URL_S3: this.#endpoint().replace('127.0.0.1', hostAddress) }),
        AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
        AWS_LAMBDA_FUNCTION_NAME: settings.name,
        AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(settings.memoryMegabytes),
        AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${settings.name}`,
        AWS_LAMBDA_LOG_STREAM_NAME: logStreamName,
        // Makes the SDK say in its user agent who calls (the call recorder shows it).
        AWS_SDK_UA_APP_ID: settings.name,
        LAMBDA_TASK_ROOT: '/var/task',
        TZ: ':UTC',
      },
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: settings.memoryMegabytes },
      stdout: true,
      stderr: true,
    });
    worker.stdout.pipe(target.log, { end: false });
    worker.stderr.pipe(target.log, { end: false });
    let isReady: () => void = () => {};
    let isBroken: (error: ErrorPayload) => void = () => {};
    const ready = new Promise<void>((resolve, reject) => {
      isReady = resolve;
      isBroken = reject;
    });
    ready.catch(() => {}); // Read by the invocation that waits for it; another may never come.
    const thread: Thread = {
      worker,
      sessionToken,
      invocation: undefined,
      logStreamName,
      ready,
      settle: undefined,
    };
    this.#threads.add(thread);
    const init = new AbortController();
    this.#clock.sleep(INIT_MILLISECONDS, init.signal).then(
      () =>
        isBroken({
          errorType: 'Sandbox.Timedout',
          errorMessage: `Error: Init timed out after ${INIT_MILLISECONDS / 1000} seconds`,
        }),
      () => {},
    );
    worker.on('message', (message: ThreadMessage) => {
      if (message.kind === 'ready') {
        init.abort();
        isReady();
      } else if (message.kind === 'failed') {
        init.abort();
        isBroken(message.error);
      } else {
        thread.settle?.(message);
      }
    });
    worker.on('error', (error: Error) => {
      // An uncaught exception or the memory limit: the runtime is gone.
      target.log.write(`${error.stack ?? String(error)}\n`);
    });
    worker.on('exit', (code) => {
      init.abort();
      isBroken({
        errorType: 'Runtime.ExitError',
        errorMessage: `Error: Runtime exited during Init with exit status ${code}`,
      });
      this.#threads.delete(thread);
      target.idle = target.idle.filter((one) => one !== thread);
      thread.settle?.({ kind: 'exit', code });
    });
    return thread;
  }

  async #end(thread: Thread): Promise<void> {
    this.#threads.delete(thread);
    await thread.worker.terminate();
  }

  /**
   * Starts a thread for each deployed function ahead of its first call, one after the other and in the background: Lambda's
   * provisioned concurrency. Not for those that are named.
   */
  warm(cold: readonly string[] = []): void {
    this.#warming = (async () => {
      for (const target of this.#functions.values()) {
        if (target.idle.length > 0 || cold.includes(target.settings.name)) continue;
        const thread = this.#start(target);
        try {
          await thread.ready;
          target.idle.push(thread);
        } catch {
          // The first call starts a thread anew, and tells why it cannot.
          await this.#end(thread);
        }
      }
    })();
  }

  async close(): Promise<void> {
    await this.#warming;
    await Promise.all([...this.#threads].map((thread) => this.#end(thread)));
    await Promise.all(
      [...this.#functions.values()].map(
        ({ log }) => new Promise<void>((resolve) => log.end(() => resolve())),
      ),
    );
  }
}

function failure(errorType: string, errorMessage: string): InvokeResult {
  return { functionError: 'Unhandled', payload: { errorType, errorMessage } satisfies ErrorPayload };
}
