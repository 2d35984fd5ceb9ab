import { type ChildProcess, spawn } from 'node:child_process';
import {
  appendFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../clock.ts';
import { processLives, processStart } from '../state-directory.ts';
import { HotPlug, serialOf } from './hot-plug.ts';
import { type Metadata, POWER_OFF_PATH, startImds } from './imds.ts';
import { type MachineRequest, MONITOR_DESCRIPTOR, machineCommand } from './machine.ts';
import { Monitor } from './qmp.ts';
import { makeSeedDisk } from './seed-disk.ts';

/** GetConsoleOutput: "the last 64 KB". */
export const CONSOLE_WINDOW_BYTES = 64 * 1024;

/** Directories of terminated instances that are being deleted; what an earlier life of the cloud left is found by it. */
const GONE = 'gone-';

const CONFIGINIT = fileURLToPath(new URL('configinit.sh', import.meta.url));
const MACHINE = fileURLToPath(new URL('machine.sh', import.meta.url));
const METADATA_RELAY = fileURLToPath(new URL('metadata-relay.mjs', import.meta.url));

interface Body {
  process: ChildProcess;
  pid: number;
  /** The power-off has been asked for: by the API, by the machine, or by the end of its program. */
  ending: boolean;
  ended: Promise<void>;
  /** A machine that boots an image to try it has none: nothing leads from it to this host. */
  imds?: { endpoint: string; close(): Promise<void> };
  /** Of a worker's machine. */
  hotPlug?: HotPlug;
}

/** What finds a body again after a restart of the cloud. */
export interface StartedProcess {
  pid: number;
  start?: string;
}

export interface BootRequest {
  instanceId: string;
  metadata: () => Metadata;
  /** Disks that are attached at boot. */
  disks: { volumeId: string; file: string }[];
  /** The machine went off by itself. */
  onPowerOff: () => void;
}

export type MachineBoot = Pick<BootRequest, 'instanceId' | 'disks' | 'onPowerOff'> &
  Pick<MachineRequest, 'architecture' | 'bootMode'> & {
    /** For a worker's machine: it has a network, and what it asks and is told by it. */
    online?: Pick<BootRequest, 'metadata'> & { macAddress: string; hostName: string };
  };

/** Name of an EBS disk in Linux's /dev/disk/by-id. */
export const diskName = (volumeId: string): string => `nvme-Amazon_Elastic_Block_Store_${serialOf(volumeId)}`;

/**
 * Gives instances a body: a process group that runs the user-data, with a metadata service and a directory that looks like
 * /dev, or a machine in QEMU; and a console file.
 */
export class InstanceHost {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #graceMilliseconds: number;
  readonly #bodies = new Map<string, Body>();

  constructor(options: { stateDirectory: string; clock: Clock; graceMilliseconds?: number }) {
    this.#directory = options.stateDirectory;
    this.#clock = options.clock;
    // A worker's TERM trap ends within a second; FreeBSD's rc.shutdown is as patient with its services.
    this.#graceMilliseconds = options.graceMilliseconds ?? 2000;
  }

  async open(): Promise<void> {
    await mkdir(join(this.#directory, 'consoles'), { recursive: true });
    const instances = join(this.#directory, 'instances');
    await mkdir(instances, { recursive: true });
    for (const name of await readdir(instances)) {
      if (name.startsWith(GONE)) deleteTree(join(instances, name));
    }
  }

  /** Whether the instance has a running process group. */
  alive(instanceId: string): boolean {
    return this.#bodies.has(instanceId);
  }

  consolePath(instanceId: string): string {
    return join(this.#directory, 'consoles', `${instanceId}.log`);
  }

  /** The instance's own directory: its /dev, HOME and TMPDIR. */
  scratch(instanceId: string): string {
    return join(this.#directory, 'instances', instanceId);
  }

  #byId(instanceId: string): string {
    return join(this.scratch(instanceId), 'dev', 'disk', 'by-id');
  }

  async note(instanceId: string, line: string): Promise<void> {
    await appendFile(this.consolePath(instanceId), `${line}\n`);
  }

  /** Boots a process instance; resolves when its program runs. */
  async boot(request: BootRequest): Promise<StartedProcess | undefined> {
    const { instanceId } = request;
    const scratch = this.scratch(instanceId);
    await rm(scratch, { recursive: true, force: true });
    for (const directory of [this.#byId(instanceId), join(scratch, 'home'), join(scratch, 'tmp')]) {
      await mkdir(directory, { recursive: true });
    }
    for (const { volumeId, file } of request.disks) await this.connect(instanceId, volumeId, file);

    const powerOff = this.#powerOff(request);
    const imds = await startImds(this.#clock, request.metadata, powerOff);
    const powerOffProgram = join(scratch, 'power-off');
    await writeFile(
      powerOffProgram,
      `#!/bin/sh\n# Pulls this instance's plug.\nexec curl -sSf -X PUT '${imds.endpoint}${POWER_OFF_PATH}'\n`,
      { mode: 0o755 },
    );
    const console = await open(this.consolePath(instanceId), 'a');
    try {
      const child = spawn('/bin/sh', [CONFIGINIT], {
        cwd: scratch,
        detached: true, // Its own process group: the whole of it is killed.
        stdio: ['ignore', console.fd, console.fd],
        env: {
          // The worker's Linux layer needs Node; which one must not depend on the host's PATH.
          PATH: `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
          HOME: join(scratch, 'home'),
          TMPDIR: join(scratch, 'tmp'),
          LANG: 'C',
          FOUNDRY_DEV: join(scratch, 'dev'),
          FOUNDRY_POWER_OFF: powerOffProgram,
          AWS_EC2_METADATA_SERVICE_ENDPOINT: imds.endpoint,
        },
      });
      return await this.#takeIn(instanceId, child, powerOff, { imds });
    } catch (error) {
      await imds.close();
      throw error;
    } finally {
      await console.close();
    }
  }

  /** Switches a machine on; resolves when it runs. */
  async bootMachine(request: MachineBoot): Promise<StartedProcess | undefined> {
    const { instanceId } = request;
    const scratch = this.scratch(instanceId);
    await rm(scratch, { recursive: true, force: true });
    await mkdir(scratch, { recursive: true });
    const powerOff = this.#powerOff(request);
    const online = request.online && (await this.#bringOnline(request, request.online, powerOff));
    const console = await open(this.consolePath(instanceId), 'a');
    try {
      const command = await machineCommand({
        ...request,
        scratch,
        console: this.consolePath(instanceId),
        online: online?.machine,
      });
      const child = spawn('/bin/sh', [MACHINE, ...command], {
        cwd: scratch,
        detached: true, // Its own process group: the whole of it is killed.
        // What QEMU itself has to say belongs to the console as well: nobody looks elsewhere.
        stdio: ['pipe', console.fd, console.fd, 'ignore', online ? 'pipe' : 'ignore'],
      });
      if (online === undefined) return await this.#takeIn(instanceId, child, powerOff);
      const monitor = new Monitor(child.stdio[MONITOR_DESCRIPTOR] as Duplex);
      const [, ...others] = request.disks.map(({ volumeId }) => volumeId);
      const hotPlug = new HotPlug(monitor, this.#clock, others);
      return await this.#takeIn(instanceId, child, powerOff, { imds: online.imds, hotPlug });
    } catch (error) {
      await online?.imds.close();
      throw error;
    } finally {
      await console.close();
    }
  }

  /** The metadata service and the disk with the user-data of a worker's machine. */
  async #bringOnline(
    { instanceId }: MachineBoot,
    { metadata, macAddress, hostName }: NonNullable<MachineBoot['online']>,
    powerOff: () => void,
  ) {
    const scratch = this.scratch(instanceId);
    const { userData } = metadata();
    const seedDisk = await makeSeedDisk(scratch, { instanceId, hostName, userData });
    const imds = await startImds(this.#clock, metadata, powerOff);
    const relay = [process.execPath, METADATA_RELAY, new URL(imds.endpoint).port].map(quoted).join(' ');
    // Relative, as QEMU runs there: the path of the state directory may have what its options cannot.
    const metadataProgram = './metadata-relay';
    await writeFile(join(scratch, metadataProgram), `#!/bin/sh\nexec ${relay}\n`, { mode: 0o755 });
    return { imds, machine: { macAddress, metadataProgram, seedDisk } };
  }

  /** What is called when the body ends; tells of it unless it was asked to. */
  #powerOff({ instanceId, onPowerOff }: Pick<BootRequest, 'instanceId' | 'onPowerOff'>): () => void {
    return () => {
      const body = this.#bodies.get(instanceId);
      if (body && !body.ending) {
        body.ending = true;
        onPowerOff();
      }
    };
  }

  /** Keeps a program that is being started as the instance's body. */
  async #takeIn(
    instanceId: string,
    child: ChildProcess,
    powerOff: () => void,
    parts: Pick<Body, 'imds' | 'hotPlug'> = {},
  ): Promise<StartedProcess> {
    const ended = new Promise<void>((resolve, reject) => {
      child.once('exit', () => resolve());
      child.once('error', reject);
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    const pid = child.pid as number;
    this.#bodies.set(instanceId, { process: child, pid, ending: false, ended, ...parts });
    void ended.then(powerOff);
    const start = await processStart(pid);
    return start === undefined ? { pid } : { pid, start };
  }

  /** Makes an attached volume appear in the instance's /dev, or plugs it into the machine. */
  async connect(instanceId: string, volumeId: string, file: string): Promise<void> {
    const hotPlug = this.#bodies.get(instanceId)?.hotPlug;
    if (hotPlug) await hotPlug.connect(volumeId, file);
    else await symlink(file, join(this.#byId(instanceId), diskName(volumeId)));
  }

  /** Throws DiskBusy when the system of a machine does not let go of the disk. */
  async disconnect(instanceId: string, volumeId: string): Promise<void> {
    const hotPlug = this.#bodies.get(instanceId)?.hotPlug;
    if (hotPlug) await hotPlug.disconnect(volumeId);
    else await rm(join(this.#byId(instanceId), diskName(volumeId)), { force: true });
  }

  /** Ends the process group: SIGTERM, SIGKILL after the grace or at once if `abruptly`. Resolves when nothing of it lives. */
  async end(instanceId: string, abruptly = false): Promise<void> {
    const body = this.#bodies.get(instanceId);
    if (!body) return;
    body.ending = true;
    await endGroup(body.pid, abruptly ? 0 : this.#graceMilliseconds, this.#clock);
    await body.ended;
    this.#bodies.delete(instanceId);
    await body.imds?.close();
  }

  /** Stops and continues the process group, so that a disk can be copied at one point in time. */
  async whileFrozen(instanceIds: readonly string[], act: () => Promise<void>): Promise<void> {
    const groups = instanceIds.flatMap((id) => this.#bodies.get(id)?.pid ?? []);
    for (const group of groups) signalGroup(group, 'SIGSTOP');
    try {
      await act();
    } finally {
      for (const group of groups) signalGroup(group, 'SIGCONT');
    }
  }

  /** Ends a process group that an earlier life of the cloud left behind. */
  async endOrphan(orphan: StartedProcess): Promise<void> {
    if (await processLives(orphan.pid, orphan.start)) {
      await endGroup(orphan.pid, this.#graceMilliseconds, this.#clock);
    }
  }

  /**
   * Takes the instance's directory away at once and deletes it in the background: a worker leaves a staged FreeBSD of 20,000
   * files behind, and nobody should wait a second for them.
   */
  async removeScratch(instanceId: string): Promise<void> {
    const gone = join(this.#directory, 'instances', `${GONE}${instanceId}`);
    try {
      await rename(this.scratch(instanceId), gone);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return; // It had no body.
      throw error;
    }
    deleteTree(gone);
  }

  async consoleLength(instanceId: string): Promise<number> {
    try {
      return (await stat(this.consolePath(instanceId))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
      throw error;
    }
  }

  /** The last 64 KB of the first `end` bytes. A serial line ends its lines with CR LF (termios ONLCR), so these do too. */
  async console(instanceId: string, end: number): Promise<Buffer> {
    if (end === 0) return Buffer.alloc(0);
    const start = Math.max(0, end - CONSOLE_WINDOW_BYTES);
    const file = await open(this.consolePath(instanceId), 'r');
    try {
      const buffer = Buffer.alloc(end - start);
      const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
      const text = buffer.subarray(0, bytesRead).toString('latin1').replace(/\r?\n/g, '\r\n');
      return Buffer.from(text, 'latin1').subarray(-CONSOLE_WINDOW_BYTES);
    } finally {
      await file.close();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#bodies.keys()].map((id) => this.end(id)));
  }
}

/** A word of sh(1). */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** By rm(1) and not waited for: Node's own takes this thread's time for every file. */
function deleteTree(path: string): void {
  const child = spawn('rm', ['-rf', path], { detached: true, stdio: 'ignore' });
  child.once('error', () => {}); // No rm: the next start of the cloud tries again.
  child.unref();
}

function signalGroup(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-group, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** How often a dying group is looked at, milliseconds. */
const LOOK_MILLISECONDS = 5;

async function endGroup(group: number, graceMilliseconds: number, clock: Clock): Promise<void> {
  const until = performance.now() + graceMilliseconds;
  if (!signalGroup(group, graceMilliseconds > 0 ? 'SIGTERM' : 'SIGKILL')) return;
  signalGroup(group, 'SIGCONT');
  while (await groupLives(group)) {
    if (performance.now() > until) signalGroup(group, 'SIGKILL');
    await clock.sleep(LOOK_MILLISECONDS);
  }
}

/**
 * Whether a process of the group runs. kill(2) with signal 0 also counts zombies, and in a container whose process 1 does
 * not reap, orphans stay zombies for ever: so the states in proc(5) decide where there is a /proc.
 */
async function groupLives(group: number): Promise<boolean> {
  if (!signalGroup(group, 0)) return false;
  let entries: string[];
  try {
    entries = await readdir('/proc');
  } catch {
    return true;
  }
  for (const entry of entries) {
    if (!/^\d+$/.test(entry)) continue;
    const text = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
    const [state, , processGroup] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    if (processGroup === String(group) && state !== 'Z' && state !== 'X') return true;
  }
  return false;
}
