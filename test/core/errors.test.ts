import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  type ErrorCode,
  errorCatalogue,
  FactoryError,
  isErrorCode,
  runbookAnchor,
} from '../../core/errors.ts';

const root = new URL('../../', import.meta.url);
const codes = Object.keys(errorCatalogue) as ErrorCode[];

/** The anchor that GitHub gives a heading: small letters, no punctuation, hyphens for spaces. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-');

describe('the runbook', () => {
  test('has one heading per error code and no heading for a code that is not there', () => {
    const path = new URL('docs/runbook.md', root);
    expect(existsSync(path), 'docs/runbook.md is not written').toBe(true);
    const headings = [...readFileSync(path, 'utf8').matchAll(/^#{1,6} +(.*?) *#*$/gm)].map(
      (match) => match[1] ?? '',
    );
    const anchors = headings.map(anchorOf);
    const wanted = codes.map((code) => runbookAnchor(code).replace('docs/runbook.md#', ''));
    expect(wanted.filter((anchor) => anchors.filter((other) => other === anchor).length !== 1)).toEqual([]);
    // One capitalised word of two or more parts is a code, whether the catalogue has it or not.
    const coded = headings
      .map((heading) => heading.replaceAll('`', ''))
      .filter((heading) => /^([A-Z][a-z]+){2,}$/.test(heading));
    expect(coded.filter((heading) => !isErrorCode(heading))).toEqual([]);
  });

  test.each(codes)(
    'says of %s what it means and whose turn it is, how to see more, and what to do',
    (code) => {
      const text = readFileSync(new URL('docs/runbook.md', root), 'utf8');
      const entry = text.split(`\n## ${code}\n`)[1]?.split('\n## ')[0] ?? '';
      expect(entry).toMatch(
        /^\n\*\*Description\.\*\* .{15,} To act: \w[^\n]+\n\n\*\*Investigation\.\*\* .{15}[\s\S]*\n\*\*Resolution\.\*\* .{8}/,
      );
    },
  );
});

describe('error codes', () => {
  test.each(['toString', '__proto__', 'constructor', '', 'invalidrecipe'])('%j is none', (word) => {
    expect(isErrorCode(word)).toBe(false);
  });

  test('are told apart by their anchors too', () => {
    expect(new Set(codes.map(runbookAnchor)).size).toBe(codes.length);
  });

  test('that the worker may report are all known', () => {
    const page = readFileSync(new URL('docs/architecture.md', root), 'utf8');
    const paragraph = /Codes the worker may report[*_]:([\s\S]*?)\(anything else\)/.exec(page)?.[1] ?? '';
    const reported = [...paragraph.matchAll(/`(\w+)`/g)].map((match) => match[1] ?? '');
    expect(reported.length).toBeGreaterThan(15);
    expect(reported.filter((code) => !isErrorCode(code))).toEqual([]);
  });

  test('that the bootstrap reports are known', () => {
    const script = readFileSync(new URL('worker/bootstrap.sh', root), 'utf8');
    const reported = [...script.matchAll(/give_up ([A-Z]\w+)/g)].map((match) => match[1] ?? '');
    expect(reported.length).toBeGreaterThan(2);
    expect(reported.filter((code) => !isErrorCode(code))).toEqual([]);
  });

  test('that a state machine retries are codes of retryable errors, and every retryable one is retried somewhere', () => {
    const machine = readFileSync(new URL('statemachines/build-image.asl.json', root), 'utf8');
    const retried = new Set<string>();
    for (const state of Object.values((JSON.parse(machine) as { States: Record<string, State> }).States)) {
      for (const { ErrorEquals } of state.Retry ?? []) for (const name of ErrorEquals) retried.add(name);
    }
    const ours = [...retried].filter(isErrorCode);
    expect(ours.toSorted()).toEqual(codes.filter((code) => errorCatalogue[code].retryable).toSorted());
  });
});

interface State {
  readonly Retry?: readonly { readonly ErrorEquals: readonly string[] }[];
}

describe('a factory error', () => {
  test('is named by its code and says what happened, what to do and where to read more', () => {
    const cause = new Error('below');
    const error = new FactoryError('SetUnknown', { message: 'no games', remedy: 'leave it out.' }, { cause });
    expect(error).toMatchObject({ name: 'SetUnknown', code: 'SetUnknown', remedy: 'leave it out.', cause });
    expect(error.message).toBe('no games\nRemedy: leave it out.\nMore: docs/runbook.md#setunknown');
  });

  test('of any length fits into the cause of an execution as Lambda writes it, with its remedy', () => {
    for (const message of ['x'.repeat(1_000_000), '"'.repeat(1_000_000), 'line\n'.repeat(100_000)]) {
      const error = new FactoryError('WorkerDied', { message, remedy: 'read the log.' });
      // What the Node runtime of Lambda answers; Step Functions puts it into Cause, which holds 32,768 characters.
      const cause = JSON.stringify({
        errorType: error.name,
        errorMessage: error.message,
        trace: error.stack?.split('\n'),
      });
      expect(cause.length).toBeLessThan(32_768);
      expect(error.message).toMatch(/Remedy: read the log\.\nMore: docs\/runbook\.md#workerdied$/);
    }
  });
});
