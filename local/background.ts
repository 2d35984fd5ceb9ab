// What `foundry cloud` runs: up | down | status, with [--state DIR] [--port N] [--json]. The cloud itself is local/main.ts --factory.
import { spawn } from 'node:child_process';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { exportsOf, type Running, readRunning, tellStopped } from './running.ts';
import { lockOwner, processLives } from './state-directory.ts';

const root = new URL('../', import.meta.url).pathname;

/** The first start makes the demo release, which takes a minute where the processor is busy. */
const START_SECONDS = 300;
/** Workers are ended one by one. */
const STOP_SECONDS = 30;
const POLL_MILLISECONDS = 100;
/** Lines of the cloud's log that say why it did not start. */
const LOG_LINES = 15;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    state: { type: 'string', default: join(root, '.state/cloud') },
    port: { type: 'string', default: '4566' },
    json: { type: 'boolean', default: false },
  },
});
const { state, port, json } = values;
const log = join(state, 'cloud.log');

const tell = (running: Running): void => {
  console.log(json ? JSON.stringify(running, null, 2) : exportsOf(running).join('\n'));
};

/** Whoever else has the state: `make cloud`, `make image`, a test. */
async function otherOwner(): Promise<number | undefined> {
  const owner = await lockOwner(state);
  return owner !== undefined && (await processLives(owner.pid, owner.start)) ? owner.pid : undefined;
}

const inUse = (pid: number): string =>
  `Process ${pid} has the state in ${state}: make cloud, make image or the like. End it where it runs, or choose another --state.`;

async function up(): Promise<number> {
  const found = await readRunning(state);
  if (found?.lives) {
    console.error(
      `The local cloud runs already at ${found.running.endpoint} (process ${found.running.pid}).`,
    );
    tell(found.running);
    return 0;
  }
  if (found !== undefined) {
    console.error(
      `The local cloud of process ${found.running.pid} ended without a word; what it held is found again.`,
    );
    await tellStopped(state);
  }
  const other = await otherOwner();
  if (other !== undefined) {
    console.error(inUse(other));
    return 1;
  }
  await mkdir(state, { recursive: true });
  const output = await open(log, 'w');
  // A group of its own: Ctrl-C here does not reach it.
  const child = spawn(
    process.execPath,
    [join(root, 'local/main.ts'), '--factory', '--state', state, '--port', port],
    { cwd: root, detached: true, stdio: ['ignore', output.fd, output.fd] },
  );
  await output.close();
  child.unref();
  const ended = new Promise<'ended'>((resolve) => {
    child.once('exit', () => resolve('ended'));
    child.once('error', () => resolve('ended'));
  });
  for (let waited = 0; waited < START_SECONDS * 1000; waited += POLL_MILLISECONDS) {
    const now = await readRunning(state);
    if (now !== undefined && now.running.pid === child.pid) {
      console.error(
        `The local cloud runs at ${now.running.endpoint} (process ${now.running.pid}, log ${log}).`,
      );
      console.error(
        now.running.mirror === null
          ? `The demo release is not served: ${log} says why.`
          : `The demo release is at ${now.running.mirror}: foundry build --local examples/demo.yaml`,
      );
      console.error('These lines make it the AWS of a shell; foundry cloud down ends it.');
      tell(now.running);
      return 0;
    }
    if ((await Promise.race([ended, pause(POLL_MILLISECONDS)])) === 'ended') {
      const lines = (await readFile(log, 'utf8')).trimEnd().split('\n').slice(-LOG_LINES);
      console.error(['The local cloud did not start:', ...lines.map((line) => `  ${line}`)].join('\n'));
      return 1;
    }
  }
  process.kill(child.pid ?? 0, 'SIGTERM');
  console.error(`The local cloud did not start within ${START_SECONDS} s; its log is ${log}.`);
  return 1;
}

async function down(): Promise<number> {
  const found = await readRunning(state);
  if (!found?.lives) {
    if (found !== undefined) {
      await tellStopped(state);
      console.error(`The local cloud of process ${found.running.pid} had ended already.`);
    }
    const other = await otherOwner();
    console.error(other === undefined ? 'No local cloud runs.' : inUse(other));
    return other === undefined ? 0 : 1;
  }
  const { pid, start } = found.running;
  process.kill(pid, 'SIGTERM');
  for (let waited = 0; waited < STOP_SECONDS * 1000; waited += POLL_MILLISECONDS) {
    if (!(await processLives(pid, start))) {
      console.error(
        `The local cloud (process ${pid}) has stopped; what it held is found again at the next start.`,
      );
      return 0;
    }
    await pause(POLL_MILLISECONDS);
  }
  console.error(
    `Process ${pid} does not stop; its log is ${log}. kill -9 ${pid} leaves its workers running.`,
  );
  return 1;
}

async function status(): Promise<number> {
  const found = await readRunning(state);
  if (found?.lives) {
    if (json) tell(found.running);
    else {
      const { endpoint, pid, startedAt, mirror } = found.running;
      console.log(
        [
          `endpoint   ${endpoint}`,
          `process    ${pid}, since ${startedAt}`,
          `mirror     ${mirror ?? 'none'}`,
          `state      ${state}`,
          `log        ${log}`,
        ].join('\n'),
      );
    }
    return 0;
  }
  const other = await otherOwner();
  if (json) console.log('null');
  if (other !== undefined) console.error(inUse(other));
  else if (found !== undefined)
    console.error(`Process ${found.running.pid} ended without a word: foundry cloud up starts it again.`);
  else console.error('No local cloud runs: foundry cloud up starts one.');
  return 1;
}

const actions: Readonly<Record<string, () => Promise<number>>> = { up, down, status };
const action = actions[positionals[0] ?? ''];
if (action === undefined) {
  console.error('usage: node local/background.ts up|down|status [--state DIR] [--port N] [--json]');
  process.exitCode = 2;
} else process.exitCode = await action();
