import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { textAfter } from '../../core/console-text.ts';

describe('what a console says beyond what was read', () => {
  test('is what was added', () => {
    expect(textAfter('', 'ab')).toEqual({ text: 'ab', missed: false });
    expect(textAfter('line one\n', 'line one\nline two\n')).toEqual({ text: 'line two\n', missed: false });
    expect(textAfter('same', 'same')).toEqual({ text: '', missed: false });
  });

  test('is nothing when the second look is older than the first', () => {
    expect(textAfter('line one\nline two\n', 'line one\n')).toEqual({ text: '', missed: false });
  });

  test('is all of a window that does not touch the first, and that is said', () => {
    const before = 'x'.repeat(100);
    expect(textAfter(before, 'y'.repeat(100))).toEqual({ text: 'y'.repeat(100), missed: true });
  });

  test('begins after a character that the window cut in two', () => {
    const before = `${'è'.repeat(30)}${'abc'.repeat(20)}`;
    expect(textAfter(before, `\uFFFD${before.slice(10)}new`)).toEqual({ text: 'new', missed: false });
  });

  test('put together is the whole, however windows slide over it', () => {
    // Numbered lines: a console that repeats itself for the length of a window cannot be told apart.
    const text = Array.from({ length: 400 }, (_, line) => `[${line}] kernel\n`).join('');
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 2000 }),
        fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 60 }),
        (size, steps) => {
          let end = 0;
          let before = '';
          let read = '';
          for (const step of steps) {
            end = Math.min(text.length, end + step);
            const now = text.slice(Math.max(0, end - size), end);
            const { text: fresh, missed } = textAfter(before, now);
            expect(missed).toBe(false);
            read += fresh;
            if (fresh !== '') before = now;
          }
          expect(read).toBe(text.slice(0, end));
        },
      ),
    );
  });

  test('is found in a moment in a window of 64 KB that repeats itself', () => {
    const before = 'a'.repeat(65_536);
    const begun = performance.now();
    expect(textAfter(before, `${before.slice(1)}b`)).toEqual({ text: 'b', missed: false });
    expect(performance.now() - begun).toBeLessThan(1000);
  });
});
