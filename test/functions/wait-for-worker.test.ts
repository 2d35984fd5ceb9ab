import { beforeEach, describe, expect, test } from 'vitest';
import { waitForWorker, waitForWorkerStep } from '../../functions/steps/wait-for-worker.ts';
import { rejected } from '../core/caught.ts';
import { BUILD, launched, plan } from './builds.ts';
import { awsError } from './fake-account.ts';

type State = Parameters<ReturnType<typeof waitForWorker>>[0];

const MINUTE = 60_000;

let { fake, worker, instance } = await launched();
let state: State;
beforeEach(async () => {
  ({ fake, worker, instance } = await launched());
  state = { plan, worker };
});

/** One look, with the state handed on as the state machine does. */
const look = async (): Promise<State> => {
  const output = await waitForWorker(fake)(state);
  expect(waitForWorkerStep.output.safeParse(output).error).toBeUndefined();
  state = { ...state, ...output } as State;
  return state;
};

/** Looks every eight seconds until it is ready or fails. */
const poll = async (every = 8_000, most = 20_000): Promise<State> => {
  for (let looks = 0; looks < most; looks++) {
    if ((await look()).waiting?.ready) return state;
    fake.time += every;
  }
  throw new Error(`not ready after ${most} looks`);
};

const minutes = (since: number) => (fake.time - since) / MINUTE;

const report = {
  version: 1,
  build: BUILD,
  ok: true,
  seconds: 60,
  phases: [{ name: 'fetch', seconds: 12 }],
  disk: { bytes: 10, written: 5, sha256: 'c'.repeat(64) },
};
const failed = (code: string) => ({
  version: 1,
  build: BUILD,
  ok: false,
  phase: 'extract',
  code,
  message: 'base.txz is broken',
  remedy: 'name another mirror',
  phases: [],
});
const say = (...lines: string[]) => {
  instance.console += `${lines.join('\r\n')}\r\n`;
};
const kept = (file: string) => fake.objects.get(`builds/${BUILD}/${file}`)?.body;

describe('waiting for the worker', () => {
  test('goes on while it prints', async () => {
    say('FreeBSD/amd64 boot', 'foundry: phase=fetch state=start');
    expect((await look()).waiting).toMatchObject({ ready: false, goneFor: 0 });
    expect(state).not.toHaveProperty('report');
    expect(fake.objects.size).toBe(0);
  });

  test('ends with its report, and keeps console and report', async () => {
    say('boot', `foundry-report: ${JSON.stringify(report)}`, 'Uptime: 1m');
    expect((await look()).waiting?.ready).toBe(true);
    expect(state).toMatchObject({ report: { seconds: 60, disk: { sha256: 'c'.repeat(64) } } });
    expect(kept('console.log')).toBe(instance.console);
    expect(JSON.parse(kept('report.json') ?? '')).toEqual(report);
  });

  test('takes the report of a worker that has powered off', async () => {
    say(`foundry-report: ${JSON.stringify(report)}`);
    fake.end(worker.instanceId, 'Client.InstanceInitiatedShutdown');
    expect((await look()).waiting?.ready).toBe(true);
  });

  test('takes a report that comes late on the console of an ended worker', async () => {
    say('foundry: phase=verify state=start');
    fake.end(worker.instanceId, 'Client.InstanceInitiatedShutdown');
    for (let looks = 0; looks < 4; looks++) expect((await look()).waiting?.ready).toBe(false);
    say(`foundry-report: ${JSON.stringify(report)}`);
    expect((await look()).waiting?.ready).toBe(true);
  });

  test('fails as the worker says, with phase, message, remedy and the last console lines', async () => {
    say('one', 'two', `foundry-report: ${JSON.stringify(failed('SetChecksumMismatch'))}`, 'three');
    const error = await rejected(look());
    expect(error.name).toBe('SetChecksumMismatch');
    expect(error.message).toContain('phase extract: base.txz is broken');
    expect(error.message).toContain('Last console lines:\none\ntwo\nthree');
    expect(error.message).not.toContain('foundry-report');
    expect(error.remedy).toBe('name another mirror');
    expect(kept('console.log')).toBe(instance.console);
    expect(kept('report.json')).toBeUndefined();
  });

  test.each(['Martian', '__proto__', 'toString', ''])(
    'calls a code it does not know WorkerFailed, and names it: %j',
    async (code) => {
      say(`foundry-report: ${JSON.stringify(failed(code))}`);
      const error = await rejected(look());
      expect(error.name).toBe('WorkerFailed');
      expect(error.message).toContain(`base.txz is broken (${code})`);
    },
  );

  test('points to the runbook when the worker knows no remedy', async () => {
    say(`foundry-report: ${JSON.stringify({ ...failed('ToolMissing'), remedy: '' })}`);
    expect((await rejected(look())).remedy).toContain('docs/runbook.md#toolmissing');
  });

  test('is not fooled by the report of another build', async () => {
    say(`foundry-report: ${JSON.stringify({ ...report, build: 'other-build' })}`);
    expect((await look()).waiting?.ready).toBe(false);
  });

  test('ends half a minute after a worker has died without a report, with phase and last lines', async () => {
    say('foundry: phase=extract state=start', 'panic: vm_fault', 'Uptime: 3m');
    await look();
    fake.end(worker.instanceId, 'Server.SpotInstanceTermination');
    const since = fake.time;
    const error = await rejected(poll());
    expect(error.name).toBe('WorkerDied');
    expect(error.message).toContain('terminated: Server.SpotInstanceTermination');
    expect(error.message).toContain('during phase extract');
    expect(error.message).toContain('panic: vm_fault\nUptime: 3m');
    expect(fake.time - since).toBe(32_000);
    expect(kept('console.log')).toBe(instance.console);
  });

  test('bears that the console of an ended worker is refused, and not that of a running one', async () => {
    await look();
    fake.failures.set('instances.console', awsError('UnauthorizedOperation'));
    await expect(look()).rejects.toThrow('UnauthorizedOperation');
    fake.end(worker.instanceId, '');
    fake.failures.set('instances.console', awsError('UnauthorizedOperation'));
    expect((await look()).waiting?.goneFor).toBe(1);
  });

  test('says when a worker died before its first phase and printed nothing', async () => {
    fake.end(worker.instanceId, '');
    const error = await rejected(poll());
    expect(error.message).toContain('before its first phase');
    expect(error.message).toContain('no reason given');
    expect(error.message).toContain('(none)');
  });

  test('gives a worker up that prints nothing new for ten minutes', async () => {
    say('foundry: phase=fetch state=start');
    const since = fake.time;
    const error = await rejected(poll());
    expect(error.name).toBe('WorkerSilent');
    expect(error.message).toContain('during phase fetch');
    expect(error.message).toContain('foundry: phase=fetch state=start');
    expect(minutes(since)).toBeGreaterThan(10);
    expect(minutes(since)).toBeLessThan(10.2);
  });

  test('gives a worker up that never prints anything', async () => {
    const since = fake.time;
    const error = await rejected(poll());
    expect(error.name).toBe('WorkerSilent');
    expect(minutes(since)).toBeLessThan(10.2);
  });

  test('has patience with one that repeats the same line: it prints', async () => {
    const line = 'foundry: phase=filesystem state=progress bytes=0 total=0';
    for (let half = 0; half < 50; half++) {
      say(line);
      expect((await look()).waiting?.ready).toBe(false);
      fake.time += 30_000;
    }
  });

  test('ends when its time is over, counted from the launch', async () => {
    const since = worker.launchedAt;
    const printing = async () => {
      for (;;) {
        say(`foundry: phase=fetch state=progress bytes=${fake.time} total=1`);
        await look();
        fake.time += 30_000;
      }
    };
    const error = await rejected(printing());
    expect(error.name).toBe('WorkerTimedOut');
    expect(error.message).toContain('3600 s after its launch');
    expect(error.message).toContain('during phase fetch');
    expect(minutes(since)).toBe(60.5);
  });

  test('a failure names where the console is kept', async () => {
    fake.end(worker.instanceId, '');
    expect((await rejected(poll())).remedy).toContain(`builds/${BUILD}/console.log`);
  });

  test('begins its own time: an earlier wait that took long does not count', async () => {
    state = {
      ...state,
      waiting: { ready: true, since: fake.time - 60 * MINUTE, goneFor: 5, seen: 'x', seenAt: 0 },
    };
    say('line');
    expect((await look()).waiting).toMatchObject({ since: fake.time, goneFor: 0 });
  });
});
