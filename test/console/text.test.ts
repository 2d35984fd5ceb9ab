import { describe, expect, it } from 'vitest';
import { runbookEntries } from '../../cli/runbook.ts';
import { consoleLines, decisiveLines } from '../../console/console-text.ts';
import { lineOfField } from '../../console/recipe-lines.ts';
import { ago, bytes, dollars, duration } from '../../console/words.ts';

const ESC = '\u001b';

describe('a console’s text', () => {
  it.each([
    ['colours', `${ESC}[1;32mok${ESC}[0m`, ['ok']],
    ['a title', `${ESC}]0;root@host\u0007login:`, ['login:']],
    ['private sequences of the loader', `${ESC}[?25l${ESC}[=3hBoot`, ['Boot']],
    ['line ends of any kind', 'a\r\nb\r\r\nc\n', ['a', 'b', 'c']],
    ['what was written over itself', ' 10%\r 20%\r100%\n', ['100%']],
    ['bells and zeroes, but no tabs', 'a\u0007\u0000\tb', ['a\tb']],
    ['markup, which is text', '<img src=x onerror=alert(1)>', ['<img src=x onerror=alert(1)>']],
  ])('is read without %s', (_what, text, lines) => {
    expect(consoleLines(text)).toEqual(lines);
  });

  it('has its decisive lines where they were said last, whole or cut', () => {
    const long = `panic: ${'x'.repeat(300)}`;
    const lines = ['panic: no', 'ok', '  panic: no ', long];
    expect([...decisiveLines(lines, ['panic: no', long.slice(0, 200), 'absent', ''])]).toEqual([2, 3]);
  });
});

describe('the line of a field', () => {
  const recipe = `# name: not this
name: web
users:
  - name: ops
    groups: [wheel]

  # another
  - name: dev
    sshKeys:
      - ssh-ed25519 AAAA
services: { nginx: true }
image:
  name: own
`;
  it.each([
    ['name', 2],
    ['users', 3],
    ['users.0', 4],
    ['users.0.name', 4],
    ['users.0.groups', 5],
    ['users.1.name', 8],
    ['users.1.sshKeys.0', 10],
    ['users.7.name', 3],
    ['image.name', 13],
    ['image.missing', 12],
    ['services.nginx', 11],
    ['absent', undefined],
  ])('%s is %s', (field, line) => {
    expect(lineOfField(recipe, field)).toBe(line);
  });
});

describe('numbers', () => {
  it('are said as people read them', () => {
    expect([0.42, 59.4, 61, 3725, 200_000].map(duration)).toEqual([
      '0.4 s',
      '59 s',
      '1 min 1 s',
      '1 h 2 min',
      '2 d 7 h',
    ]);
    expect([0, 0.00001, 0.0173, 1.5].map(dollars)).toEqual(['$0', '< $0.0001', '$0.0173', '$1.50']);
    expect([12, 1500, 479_000_000].map(bytes)).toEqual(['12 B', '1.5 kB', '479 MB']);
    expect(ago('2026-01-01T00:00:00Z', Date.parse('2026-01-01T02:00:00Z'))).toBe('2 h ago');
  });
});

it('the runbook is read by its anchors', () => {
  expect(runbookEntries('# Runbook\n\nintro\n\n## A\n\ntext\n\n## B\n\nmore\n\n')).toEqual({
    A: 'text',
    B: 'more',
  });
});
