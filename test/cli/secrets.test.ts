// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what a shell writes.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { masked, maskedValue, printable } from '../../cli/secrets.ts';

test.each([
  ['ann:$6$salt1234$hashhashhash:0', 'ann:$6$(hidden):0'],
  ['$2b$10$abcdefghijklmnopqrstuv', '$2b$(hidden)'],
  ['$y$j9T$abcdefgh$ijklmnop', '$y$(hidden)'],
  ['get https://a.example/k?X-Amz-Signature=1&b=2 now', 'get https://a.example/k?(hidden) now'],
  ['"http://a.example/?a"', '"http://a.example/?(hidden)"'],
  ['echo $1 $HOME ${x} $$', 'echo $1 $HOME ${x} $$'],
  ['https://a.example/plain', 'https://a.example/plain'],
])('%s', (text, expected) => {
  expect(masked(text)).toBe(expected);
});

test('no signature of any URL comes through, wherever it stands', () => {
  fc.assert(
    fc.property(fc.webUrl(), fc.stringMatching(/^[A-Za-z0-9%&=_-]{8,40}$/), (url, signature) => {
      const value = { list: [{ text: `curl '${url}?S=${signature}'` }] };
      expect(JSON.stringify(maskedValue(value))).not.toContain(`S=${signature}`);
    }),
  );
});

test('a terminal sees lines, tabs and letters, never a command', () => {
  expect(printable('a\n\tb ü\u001b[2J\r\u0007\u009b1m')).toBe('a\n\tb ü\\x1b[2J\\x0d\\x07\\x9b1m');
});
