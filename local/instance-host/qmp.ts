import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';

/** The machine has ended, or never answered: nothing can be asked of it. */
export class MonitorClosed extends Error {
  override readonly name = 'MonitorClosed';
}

interface Message {
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly class: string; readonly desc: string };
  readonly event?: string;
  readonly data?: { readonly device?: string };
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * The monitor of a machine: QEMU's "QMP Reference Manual" and "QEMU Machine Protocol Specification", as far as disks come and
 * go by it. Speaks over a stream that is connected already.
 */
export class Monitor {
  readonly #stream: Duplex;
  readonly #answers = new Map<number, Waiting>();
  readonly #deletions = new Map<string, Waiting>();
  /** Until the capabilities are negotiated, no other command is taken. */
  readonly #ready: Promise<unknown>;
  #closed = false;
  #lastId = 0;

  constructor(stream: Duplex) {
    this.#stream = stream;
    const lines = createInterface({ input: stream });
    lines.on('line', (line) => this.#take(JSON.parse(line) as Message));
    for (const event of ['end', 'error', 'close']) stream.on(event, () => this.#close());
    // It hands on the stream's error: a machine that is killed resets its connection.
    lines.on('error', () => this.#close());
    this.#ready = this.#ask('qmp_capabilities');
    this.#ready.catch(() => {}); // Whoever asks for something hears of it.
  }

  /** Rejects with what QEMU says against it, or with {@link MonitorClosed}. */
  async execute(command: string, settings: object): Promise<void> {
    await this.#ready;
    await this.#ask(command, settings);
  }

  /** Resolves when the guest has let go of the device (DEVICE_DELETED). Rejects with {@link MonitorClosed}. */
  deleted(device: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#closed) reject(new MonitorClosed());
      else this.#deletions.set(device, { resolve, reject });
    });
  }

  #ask(command: string, settings?: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new MonitorClosed());
        return;
      }
      const id = ++this.#lastId;
      this.#answers.set(id, { resolve, reject });
      this.#stream.write(`${JSON.stringify({ execute: command, arguments: settings, id })}\n`);
    });
  }

  #take({ id, error, event, data, ...answer }: Message): void {
    if (event === 'DEVICE_DELETED' && data?.device !== undefined) {
      this.#deletions.get(data.device)?.resolve(undefined);
      this.#deletions.delete(data.device);
    }
    const waiting = id === undefined ? undefined : this.#answers.get(id);
    if (id === undefined || waiting === undefined) return;
    this.#answers.delete(id);
    if (error) waiting.reject(new Error(`QEMU: ${error.desc} (${error.class})`));
    else waiting.resolve(answer.return);
  }

  #close(): void {
    this.#closed = true;
    for (const map of [this.#answers, this.#deletions]) {
      for (const waiting of map.values()) waiting.reject(new MonitorClosed());
      map.clear();
    }
  }
}
