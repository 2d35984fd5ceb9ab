import { appendFile } from 'node:fs/promises';
import { type BootRequest, InstanceHost, type MachineBoot, type StartedProcess } from './host.ts';
import { type StubWorkerEnd, stubWorker } from './stub-worker.ts';

/** What a machine prints that is under test: a good boot of FreeBSD, a panic, nothing; or it goes off at once. */
export type StubMachineEnd = 'ok' | 'panic' | 'hang' | 'die';

export interface StubBehaviour {
  /** By the name of the build; 'ok' when absent. */
  readonly worker?: (build: string) => StubWorkerEnd;
  /** By the id of the instance; 'ok' when absent. */
  readonly machine?: (instanceId: string) => StubMachineEnd;
}

interface StubBody {
  readonly disks: Map<string, string>;
  readonly ended: AbortController;
  /** Called when a disk comes. */
  arrived: () => void;
}

/** FreeBSD's own words, as far as a boot test looks for them (core/boot-console.ts). */
const boots: Readonly<Record<StubMachineEnd, readonly string[]>> = {
  ok: [
    'BdsDxe: starting Boot0001 "UEFI Amazon Elastic Block Store"',
    '---<<BOOT>>---',
    'Copyright (c) 1992-2026 The FreeBSD Project.',
    'Trying to mount root from ufs:/dev/gpt/rootfs [rw]...',
    'ec2: -----BEGIN SSH HOST KEY FINGERPRINTS-----',
    'ec2: 256 SHA256:bm9uZS10aGlzLWlzLWEtc3R1Yg root@freebsd (ED25519)',
    'ec2: -----END SSH HOST KEY FINGERPRINTS-----',
    '',
    'FreeBSD/amd64 (freebsd) (ttyu0)',
    '',
    'login:',
  ],
  panic: ['---<<BOOT>>---', 'panic: the stub was told to', 'KDB: enter: panic', 'db> '],
  hang: [],
  die: ['---<<BOOT>>---'],
};

/**
 * Instances without a body, for tests that need hundreds: a worker says what the contract of the console has it say, a machine what a
 * boot test waits for. test/local/instance-host/stub.test.ts holds them against the true ones.
 */
export class StubHost extends InstanceHost {
  readonly #behaviour: StubBehaviour;
  readonly #stubs = new Map<string, StubBody>();

  constructor(options: ConstructorParameters<typeof InstanceHost>[0], behaviour: StubBehaviour) {
    super(options);
    this.#behaviour = behaviour;
  }

  override alive(instanceId: string): boolean {
    return this.#stubs.has(instanceId);
  }

  override boot(request: BootRequest): Promise<StartedProcess | undefined> {
    return this.#begin(request, (body) =>
      stubWorker({
        userData: request.metadata().userData?.toString('utf8') ?? '',
        disk: (volumeId) => arrival(body, volumeId),
        print: (line) => this.note(request.instanceId, line),
        endsAs: this.#behaviour.worker ?? (() => 'ok'),
        signal: body.ended.signal,
      }),
    );
  }

  override bootMachine(request: MachineBoot): Promise<StartedProcess | undefined> {
    const { instanceId } = request;
    return this.#begin(request, async ({ ended }) => {
      const end = this.#behaviour.machine?.(instanceId) ?? 'ok';
      await appendFile(this.consolePath(instanceId), boots[end].map((line) => `${line}\r\n`).join(''));
      if (end !== 'die') await aborted(ended.signal);
    });
  }

  async #begin(
    { instanceId, disks, onPowerOff }: Pick<BootRequest, 'instanceId' | 'disks' | 'onPowerOff'>,
    play: (body: StubBody) => Promise<void>,
  ): Promise<undefined> {
    const body: StubBody = {
      disks: new Map(disks.map(({ volumeId, file }) => [volumeId, file])),
      ended: new AbortController(),
      arrived: () => {},
    };
    this.#stubs.set(instanceId, body);
    // Played while the instance runs, like a program of its own.
    void play(body)
      .catch(async (error: unknown) => {
        if (!body.ended.signal.aborted) await this.note(instanceId, `stub: ${String(error)}`);
      })
      .then(() => {
        if (!body.ended.signal.aborted) onPowerOff();
      });
  }

  override async connect(instanceId: string, volumeId: string, file: string): Promise<void> {
    const body = this.#stubs.get(instanceId);
    body?.disks.set(volumeId, file);
    body?.arrived();
  }

  override async disconnect(instanceId: string, volumeId: string): Promise<void> {
    this.#stubs.get(instanceId)?.disks.delete(volumeId);
  }

  override async end(instanceId: string): Promise<void> {
    this.#stubs.get(instanceId)?.ended.abort();
    this.#stubs.delete(instanceId);
  }

  /** A stub writes once and at once. */
  override async whileFrozen(_: readonly string[], act: () => Promise<void>): Promise<void> {
    await act();
  }

  override async close(): Promise<void> {
    await Promise.all([...this.#stubs.keys()].map((id) => this.end(id)));
  }
}

async function arrival(body: StubBody, volumeId: string): Promise<string> {
  for (;;) {
    const file = body.disks.get(volumeId);
    if (file !== undefined) return file;
    await Promise.race([
      new Promise<void>((resolve) => {
        body.arrived = resolve;
      }),
      aborted(body.ended.signal),
    ]);
    body.ended.signal.throwIfAborted();
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
