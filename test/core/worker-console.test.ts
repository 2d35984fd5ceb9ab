import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readWorkerConsole } from '../../core/worker-console.ts';

const BUILD = 'demo-0123456789ab';
const good = {
  version: 1,
  build: BUILD,
  ok: true,
  seconds: 212.5,
  phases: [
    { name: 'fetch', seconds: 12.4, bytes: 123 },
    { name: 'verify', seconds: 1 },
  ],
  tree: { entries: 31288 },
  disk: { bytes: 10_737_418_240, written: 1_234, sha256: 'c'.repeat(64) },
};
const bad = {
  version: 1,
  build: BUILD,
  ok: false,
  phase: 'fetch',
  code: 'SetChecksumMismatch',
  message: 'base.txz has another checksum',
  remedy: 'name another mirror',
  seconds: 3,
  phases: [{ name: 'preflight', seconds: 0.1 }],
};
const line = (report: object) => `foundry-report: ${JSON.stringify(report)}`;
const progress = [
  `foundry: build=${BUILD} platform=freebsd version=1`,
  'foundry: phase=preflight state=start',
  'foundry: phase=preflight state=done seconds=0.1 bytes=0',
  'foundry: phase=fetch state=start',
  'foundry: phase=fetch state=progress bytes=4096 total=150000000',
];
const read = (text: string) => readWorkerConsole(text, BUILD);

// Serial consoles of real FreeBSD machines; every worker's lines come between such.
const fixtures = new URL('./fixtures/', import.meta.url);
const source = readdirSync(fixtures).filter((name) => name.endsWith('.txt'));
const recorded = source.map((name) => readFileSync(new URL(name, fixtures), 'utf8'));

describe('a console', () => {
  test('that is empty says nothing', () => {
    expect(read('')).toEqual({ phase: undefined, phases: [], report: undefined, tail: [] });
  });

  test('shows the phase the worker is in', () => {
    expect(read(progress.slice(0, 1).join('\n')).phase).toBeUndefined();
    expect(read(progress.slice(0, 3).join('\n')).phase).toBe('preflight');
    expect(read(progress.join('\n')).phase).toBe('fetch');
  });

  test('gives the report of success whole, with members it does not know', () => {
    const { report } = read([...progress, line({ ...good, unheard: { of: 1 } })].join('\n'));
    expect(report).toEqual({ ...good, unheard: { of: 1 } });
  });

  test('gives the report of failure, and its phase', () => {
    const { report, phase } = read([...progress, 'foundry: phase=extract state=start', line(bad)].join('\n'));
    expect(report).toEqual(bad);
    expect(phase).toBe('fetch');
  });

  test('ignores the report of another build', () => {
    expect(read(line({ ...good, build: 'other-0123456789ab' })).report).toBeUndefined();
    expect(read([line(good), line({ ...bad, build: 'other' })].join('\n')).report).toEqual(good);
  });

  test.each([
    ['cut', line(good).slice(0, -10)],
    ['cut at the front', line(good).slice(20)],
    ['broken by a kernel message', line(good).replace(',"ok"', 'nda1: <Amazon EBS>\r\n,"ok"')],
    ['no JSON', 'foundry-report: {ok: true}'],
    ['not an object', 'foundry-report: [1]'],
    ['without phases', line({ ...good, phases: undefined })],
    ['without code', line({ ...bad, code: undefined })],
    ['with a text for a number', line({ ...good, seconds: '1' })],
    ['with neither true nor false', line({ ...good, ok: 'yes' })],
  ])('a report line that is %s is noise', (_, text) => {
    expect(read([...progress, text].join('\n')).report).toBeUndefined();
    expect(read([line(good), text].join('\n')).report).toEqual(good);
    expect(read([text, line(good)].join('\n')).report).toEqual(good);
  });

  test('the last good report counts', () => {
    expect(read([line(bad), line(good)].join('\n')).report).toEqual(good);
  });

  test('may have a kernel message before the report on its line', () => {
    expect(read(`nda1: detached${line(good)}`).report).toEqual(good);
  });

  test('has a tail of the last 20 lines that are not blank', () => {
    const text = Array.from({ length: 50 }, (_, n) => `line ${n}\r\n\r\n   \r\n`).join('');
    expect(read(text).tail).toEqual(Array.from({ length: 20 }, (_, n) => `line ${n + 30}`));
  });

  test('has a tail that fits into a cause even if nothing on the console ends a line', () => {
    const { tail } = read(Array.from({ length: 30 }, () => 'x'.repeat(2_000)).join('\n'));
    expect(tail.join('\n').length).toBeLessThan(5_000);
    expect(read('x'.repeat(64 * 1024)).tail.join('\n').length).toBeLessThan(5_000);
  });
});

test('there are recorded consoles', () => expect(recorded.length).toBeGreaterThanOrEqual(3));

describe.each(source.map((name, index) => [name, recorded[index] ?? ''] as const))(
  'a worker on %s',
  (_, console) => {
    const recordedLines = console.split(/\r?\n/);
    /** The worker's lines at given places among the recorded ones, with CRLF. */
    const among = (places: readonly number[], lines: readonly string[]) => {
      const mixed = recordedLines.map((text, index) => ({ at: index + 0.5, text }));
      const sorted = places.toSorted((a, b) => a - b);
      lines.forEach((text, index) => {
        mixed.push({ at: (sorted[index] ?? 0) + index / 1000, text });
      });
      return mixed
        .sort((a, b) => a.at - b.at)
        .map(({ text }) => text)
        .join('\r\n');
    };
    const places = fc.array(fc.integer({ min: 0, max: recordedLines.length }), {
      minLength: 6,
      maxLength: 6,
    });
    const report = fc.constantFrom(good, bad);

    test('is understood wherever its lines fall', () => {
      fc.assert(
        fc.property(places, report, (at, said) => {
          const text = among(at, [...progress, line(said)]);
          expect(read(text).report).toEqual(said);
          expect(read(text).phase).toBe('fetch');
        }),
        { numRuns: 30 },
      );
    });

    test('is understood when the front of the console is cut off', () => {
      const text = among([0, 0, 0, 0, recordedLines.length, recordedLines.length], [...progress, line(good)]);
      const kept = Buffer.from(text).subarray(-1_000).toString('utf8');
      expect(read(kept).report).toEqual(good);
      expect(read(kept).phase).toBe('fetch');
    });

    test('has reported nothing before it does', () => {
      expect(read(console)).toMatchObject({ phase: undefined, report: undefined });
    });

    test('has a tail without control characters', () => {
      const lengths = fc.integer({ min: 1, max: console.length });
      fc.assert(
        fc.property(lengths, (length) => {
          for (const text of read(console.slice(0, length)).tail) {
            expect(text.replaceAll('\t', '').match(/\p{Cc}/gu)).toBeNull();
            expect(text).not.toMatch(/^3h|\[2J/);
          }
        }),
        { numRuns: 60 },
      );
    });
  },
);
