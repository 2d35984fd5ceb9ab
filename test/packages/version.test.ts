import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareVersions } from '../../packages/version.ts';

// pkg-version(8), the Porter's Handbook (5.2.3, "Versions") and the comments of the ports framework.
test.each([
  ['1', '2', -1],
  ['1.2', '1.10', -1],
  ['1.0', '1.0_1', -1],
  ['1.0_1', '1.0_2', -1],
  ['1.0_9', '1.0_10', -1],
  ['2.0', '1.0,1', -1],
  ['2.0_3', '1.0,1', -1],
  ['1.0,1', '1.0_1,1', -1],
  ['foo-1.2_3,4', 'bar-1.2_3,4', 0],
  ['1.0', '1.0.0', 0],
  ['10', '10.0.0', 0],
  ['1.0.1', '1.0', 1],
  ['10', '10a', -1],
  ['10a', '10b', -1],
  ['10.a', '10', -1],
  ['10alpha', '10', -1],
  ['1.0.alpha1', '1.0.beta1', -1],
  ['1.0.beta2', '1.0.rc1', -1],
  ['1.0.rc1', '1.0', -1],
  ['1.0.pre1', '1.0.rc1', -1],
  ['0.1beta2', '0.1.b2', 0],
  ['0.1.b2', '0.1', -1],
  ['1.d2', '1.dev2', 0],
  ['1.dev2', '1.Development2', 0],
  ['2.pl1', '2.alpha3', -1],
  ['2.*', '2pl1', -1],
  ['2alpha3', '2.9f7', -1],
  ['2.9f7', '3.*', -1],
  ['10..1', '10.1', 0],
  ['1.0+2003.09.16', '1.0.1', -1],
  ['1.0+2003.09.16', '1.0+2003.10.01', -1],
  ['1.0:2003.09.16', '1.0.2003.09.16', 0],
  ['4.4.3P1', '4.4.3P2', -1],
  ['4.4.3', '4.4.3P1', -1],
  ['8.2.0a', '8.2.0', 1],
  ['20240101', '20231231', 1],
])('%s against %s', (one, two, expected) => {
  expect(Math.sign(compareVersions(one, two))).toBe(expected);
  expect(Math.sign(compareVersions(two, one))).toBe(-expected + 0);
});

const version = fc
  .tuple(
    fc.array(
      fc.oneof(fc.nat(30).map(String), fc.constantFrom('a', 'b1', 'rc2', 'beta', 'pl3', '1a2', 'alpha1')),
      {
        minLength: 1,
        maxLength: 4,
      },
    ),
    fc.constantFrom('', '_1', '_12'),
    fc.constantFrom('', ',1', ',2'),
  )
  .map(([parts, revision, epoch]) => parts.join('.') + revision + epoch);

test('an order: reversible, transitive, blind to letters of either case', () => {
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      expect(compareVersions(a, a)).toBe(0);
      expect(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a))).toBe(0);
      const [first = '', second = '', third = ''] = [a, b, c].sort(compareVersions);
      expect(compareVersions(first, third)).toBeLessThanOrEqual(0);
      expect(compareVersions(first, second)).toBeLessThanOrEqual(0);
      expect(Math.sign(compareVersions(a.toUpperCase(), b))).toBe(Math.sign(compareVersions(a, b)));
    }),
  );
});

test('any text is compared without an end or an error', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      expect([-1, 0, 1]).toContain(Math.sign(compareVersions(a, b)));
    }),
    { numRuns: 500 },
  );
});
