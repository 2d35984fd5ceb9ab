import { expect, test } from 'vitest';
import { type EventPattern, matches } from '../../local/event-pattern.ts';

const EVENT = {
  source: 'ami-foundry',
  resources: ['arn:a', 'arn:b'],
  detail: { release: '15.1', size: 10, public: true, note: null, regions: [] },
};

// Amazon EventBridge User Guide, "Creating event patterns" and "Comparison operators for use in event patterns".
test.each<[EventPattern, boolean]>([
  [{}, true],
  [{ source: ['ami-foundry'] }, true],
  [{ source: ['other', 'ami-foundry'] }, true],
  [{ source: ['other'] }, false],
  [{ source: ['ami-foundry'], detail: { release: ['14.3'] } }, false],
  [{ resources: ['arn:b'] }, true],
  [{ resources: ['arn:c'] }, false],
  [{ detail: { size: [10], public: [true], note: [null] } }, true],
  [{ detail: { size: ['10'] } }, false],
  [{ detail: { release: [{ prefix: '15.' }] } }, true],
  [{ detail: { release: [{ suffix: '.3' }] } }, false],
  [{ detail: { release: [{ exists: true }], other: [{ exists: false }] } }, true],
  [{ nothing: { inside: [{ exists: true }] } }, false],
  [{ detail: { release: [{ 'anything-but': ['14.3', '14.4'] }] } }, true],
  [{ detail: { release: [{ 'anything-but': '15.1' }] } }, false],
])('%j: %s', (pattern, expected) => {
  expect(matches(pattern, EVENT)).toBe(expected);
});

test('what is not emulated is refused, not passed over', () => {
  expect(() => matches({ detail: { size: [{ numeric: ['>', 5] }] } }, EVENT)).toThrow('numeric');
});
