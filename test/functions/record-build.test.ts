import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { busEvents } from '../../core/events.ts';
import type { ExecutionHistory } from '../../core/ports.ts';
import type { ReceiptFacts } from '../../core/receipt.ts';
import { recordBuild } from '../../functions/events/record-build.ts';

const facts = JSON.parse(
  readFileSync(new URL('../core/fixtures/receipts/unix.json', import.meta.url), 'utf8'),
) as ReceiptFacts & { endedAt: string };
const execution = `arn:aws:states:us-east-1:111122223333:execution:ami-foundry-build-image:${facts.build}`;
const done = {
  imageId: 'ami-0123456789abcdef0',
  snapshotId: 'snap-0123456789abcdef0',
  name: 'test',
  release: '15.1-RELEASE',
  adopted: false,
  regions: [],
};

type Run = Awaited<ReturnType<ExecutionHistory['describe']>>;
let run: Run;
let objects: Map<string, string>;
let told: { what: string; detail: Record<string, unknown> }[];
let refuses: 'telling' | 'writing it down' | undefined;

beforeEach(() => {
  run = {
    status: 'SUCCEEDED',
    startedAt: facts.startedAt,
    endedAt: facts.endedAt,
    input: JSON.stringify({ recipe: { name: 'web' } }),
    output: JSON.stringify(done),
  };
  objects = new Map();
  told = [];
  refuses = undefined;
});

const record = (status: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'ABORTED' | 'TIMED_OUT') =>
  recordBuild({
    history: {
      describe: async () => run,
      events: async () => [...facts.events],
      newestState: async () => facts.state,
    },
    artifacts: {
      put: async (key, body) => {
        if (refuses === 'writing it down' && key.includes('told')) throw new Error('S3 is down');
        objects.set(key, String(body));
      },
      get: async (key) => {
        const text = objects.get(key);
        return text === undefined ? undefined : Buffer.from(text);
      },
      copy: async () => {},
      presign: async () => '',
      presignPut: async () => '',
    },
    notices: {
      tell: async (what, detail) => {
        if (refuses === 'telling') throw new Error('EventBridge is down');
        told.push({ what, detail: { ...detail } });
      },
    },
    clock: { now: () => Date.parse(facts.endedAt) + 1000 },
  })({ execution, status });

const types = () => told.map(({ what }) => what);

describe('the record of a build', () => {
  it('has its receipt, with the image’s records too, and is told', async () => {
    expect(await record('SUCCEEDED')).toEqual({ told: 'Build Succeeded' });
    const receipt = JSON.parse(objects.get(`builds/${facts.build}/receipt.json`) ?? '');
    expect(receipt).toMatchObject({ build: facts.build, status: 'SUCCEEDED', endedAt: facts.endedAt });
    expect(objects.get(`images/${facts.build}/receipt.json`)).toBe(
      objects.get(`builds/${facts.build}/receipt.json`),
    );
    expect(told).toMatchObject([
      { what: 'Build Succeeded', detail: { recipe: 'web', imageId: done.imageId, dollars: receipt.dollars } },
    ]);
  });

  it.each([
    ['RUNNING', 'Build Started'],
    ['FAILED', 'Build Failed'],
    ['TIMED_OUT', 'Build Failed'],
    ['ABORTED', 'Build Aborted'],
  ] as const)('%s is told as %s, as its schema says', async (status, what) => {
    run = { ...run, status, output: undefined, error: status === 'FAILED' ? 'BootPanicked' : undefined };
    await record(status);
    expect(types()).toEqual([what]);
    expect(() => busEvents[what].detail.parse(told[0]?.detail)).not.toThrow();
    expect(objects.has(`images/${facts.build}/receipt.json`)).toBe(false);
  });

  it('of one that adopted an image leaves the receipt of its maker alone', async () => {
    run = { ...run, output: JSON.stringify({ ...done, adopted: true }) };
    await record('SUCCEEDED');
    expect(objects.has(`builds/${facts.build}/receipt.json`)).toBe(true);
    expect(objects.has(`images/${facts.build}/receipt.json`)).toBe(false);
  });

  it('of one that its matrix will publish says so, and names no region yet', async () => {
    const regions = [{ region: 'eu-west-1', imageId: 'ami-00000000000000001' }];
    run = { ...run, output: JSON.stringify({ ...done, regions, held: { matrix: 'all' } }) };
    await record('SUCCEEDED');
    expect(told).toMatchObject([{ detail: { held: true, regions: {} } }]);
  });

  it('of a dry run is none', async () => {
    run = { ...run, input: JSON.stringify({ recipe: { name: 'web' }, dryRun: true }) };
    expect(await record('SUCCEEDED')).toEqual({ told: null });
    expect([...objects.keys(), ...told]).toEqual([]);
  });

  it('is made of whatever somebody started the state machine with', async () => {
    run = { ...run, status: 'FAILED', error: 'InvalidRecipe', cause: 'no', input: '[]' };
    await record('FAILED');
    expect(told).toMatchObject([{ what: 'Build Failed', detail: { recipe: null, decisive: 'no' } }]);
  });
});

describe('an event that comes again', () => {
  it('is told once', async () => {
    for (let time = 0; time < 3; time++) await record('SUCCEEDED');
    expect(types()).toEqual(['Build Succeeded']);
  });

  it('is told when the first time failed', async () => {
    refuses = 'telling';
    await expect(record('SUCCEEDED')).rejects.toThrow('EventBridge is down');
    refuses = undefined;
    await record('SUCCEEDED');
    expect(types()).toEqual(['Build Succeeded']);
  });

  it('is told twice, the same, when nobody wrote down that it was told', async () => {
    refuses = 'writing it down';
    await expect(record('SUCCEEDED')).rejects.toThrow('S3 is down');
    refuses = undefined;
    await record('SUCCEEDED');
    expect(types()).toEqual(['Build Succeeded', 'Build Succeeded']);
    expect(told[0]).toEqual(told[1]);
  });

  it('of the beginning, late, is told all the same', async () => {
    await record('SUCCEEDED');
    await record('RUNNING');
    expect(types()).toEqual(['Build Succeeded', 'Build Started']);
  });

  it('of an execution that was redriven is another', async () => {
    run = { ...run, status: 'FAILED', error: 'X', cause: 'x' };
    await record('FAILED');
    run = { ...run, status: 'SUCCEEDED', endedAt: '2026-11-27T00:00:00.000Z' };
    await record('SUCCEEDED');
    expect(types()).toEqual(['Build Failed', 'Build Succeeded']);
  });

  it('and is ahead of DescribeExecution is tried again', async () => {
    run = { ...run, status: 'RUNNING', endedAt: null };
    await expect(record('SUCCEEDED')).rejects.toMatchObject({ name: 'ExecutionNotSettled' });
    expect(objects.size).toBe(0);
  });
});
