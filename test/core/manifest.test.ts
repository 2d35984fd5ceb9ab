import { describe, expect, test } from 'vitest';
import { parseManifest, selectSets } from '../../core/manifest.ts';
import { caught } from './caught.ts';

const URL = 'https://m/releases/amd64/amd64/15.0-RELEASE/MANIFEST';

// The first line is that of 15.0-RELEASE amd64, byte for byte.
const base =
  'base.txz\tac0c933cc02ee8af4da793f551e4a9a15cdcf0e67851290b1e8c19dd6d30bba8\t30443\tbase\t"Base system (MANDATORY)"\ton';
const sha = (digit: string) => digit.repeat(64);
const lines = [
  base,
  `base-dbg.txz\t${sha('1')}\t1534\tbase_dbg\t"Base system (Debugging)"\toff`,
  `kernel.txz\t${sha('2')}\t845\tkernel\t"Kernel (MANDATORY)"\ton`,
  `kernel-dbg.txz\t${sha('3')}\t846\tkernel_dbg\t"Kernel (Debugging)"\ton`,
];
const text = `${lines.join('\n')}\n`;

describe('a MANIFEST', () => {
  test('lists sets with file, checksum and number of entries', () => {
    expect(parseManifest(text, URL)).toEqual([
      {
        name: 'base',
        file: 'base.txz',
        sha256: 'ac0c933cc02ee8af4da793f551e4a9a15cdcf0e67851290b1e8c19dd6d30bba8',
        entries: 30443,
      },
      { name: 'base_dbg', file: 'base-dbg.txz', sha256: sha('1'), entries: 1534 },
      { name: 'kernel', file: 'kernel.txz', sha256: sha('2'), entries: 845 },
      { name: 'kernel_dbg', file: 'kernel-dbg.txz', sha256: sha('3'), entries: 846 },
    ]);
  });

  test('may have CRLF, blank lines and no newline at its end', () => {
    expect(parseManifest(`${lines.join('\r\n')}\r\n\r\n`, URL)).toEqual(parseManifest(text, URL));
    expect(parseManifest(lines.join('\n'), URL)).toEqual(parseManifest(text, URL));
  });

  test.each([
    ['nothing', '', /empty/],
    ['blank lines', '\n\r\n', /empty/],
    ['a page of a proxy', '<!DOCTYPE html>\n<html><body>Please log in</body></html>\n', /line 1 has not six/],
    ['spaces instead of tabs', base.replaceAll('\t', ' '), /line 1 has not six/],
    ['a field less', base.split('\t').slice(0, 5).join('\t'), /line 1 has not six/],
    ['a blank field', base.replace('30443', ''), /line 1 has not six/],
    ['a short checksum', base.replace('ac0c', 'ac0'), /line 1 has no SHA-256/],
    ['a checksum of other letters', base.replace('ac0c', 'zzzz'), /line 1 has no SHA-256/],
    ['a path', base.replace('base.txz', '../base.txz'), /line 1 names no \.txz/],
    ['an absolute path', base.replace('base.txz', '/etc/x.txz'), /line 1 names no \.txz/],
    ['an option', base.replace('base.txz', '-rf.txz'), /line 1 names no \.txz/],
    ['a command', base.replace('base.txz', '$(id).txz'), /line 1 names no \.txz/],
    ['another archive', base.replace('base.txz', 'base.tgz'), /line 1 names no \.txz/],
    ['entries in words', base.replace('30443', 'many'), /line 1 has no number/],
    ['negative entries', base.replace('30443', '-1'), /line 1 has no number/],
    ['an error on the third line, after a blank one', `${base}\n\nbroken\n`, /line 3 /],
    ['a set twice', `${text}${base}\n`, /base .*twice|twice.* base/],
    [
      'a set twice under two spellings',
      `${text}${(lines[1] ?? '').replace('base_dbg', 'base-dbg')}\n`,
      /twice/,
    ],
  ])('with %s is refused with the URL and the place', (_, wrong, says) => {
    const error = caught(() => parseManifest(wrong, URL));
    expect(error.name).toBe('ManifestInvalid');
    expect(error.message).toContain(URL);
    expect(error.message).toMatch(says);
  });

  test('that is an enormous line is quoted in part', () => {
    expect(caught(() => parseManifest('x'.repeat(1_000_000), URL)).message.length).toBeLessThan(600);
  });
});

describe('the sets of a recipe', () => {
  const manifest = parseManifest(text, URL);

  test.each(['base-dbg', 'base_dbg'])('%s is found by either spelling', (name) => {
    expect(selectSets(manifest, [name], URL).map(({ file }) => file)).toEqual(['base-dbg.txz']);
  });

  test('come in the order of the recipe', () => {
    expect(selectSets(manifest, ['kernel', 'base'], URL).map(({ name }) => name)).toEqual(['kernel', 'base']);
  });

  test('that are optional are taken where there are any', () => {
    expect(selectSets(manifest, ['kernel'], URL, ['base-dbg', 'lib32']).map(({ name }) => name)).toEqual([
      'kernel',
      'base_dbg',
    ]);
  });

  test('that the MANIFEST does not list are all named, with what there is', () => {
    const error = caught(() => selectSets(manifest, ['base', 'games', 'toString', 'doc'], URL));
    expect(error.name).toBe('SetUnknown');
    expect(error.message).toContain(`games, toString, doc not in ${URL}`);
    expect(error.remedy).toBe('choose from: base, base_dbg, kernel, kernel_dbg.');
  });
});
