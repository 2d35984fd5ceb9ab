import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { busEvents, busEventTypes } from '../../core/events.ts';
import { noticeOf } from '../../core/notice-text.ts';
import { exampleEvents } from '../../docs/example-events.ts';
import { eventsPage } from '../../docs/generate-events.ts';

it('`npm run docs` writes docs/events.md as the schemas say', async () => {
  expect(await readFile(new URL('../../docs/events.md', import.meta.url), 'utf8')).toBe(eventsPage());
});

it.each(busEventTypes)('the example of %s is one, and a notice of it fits a screen', (type) => {
  const detail = exampleEvents[type];
  expect(busEvents[type].detail.parse(detail)).toEqual(detail);
  const { subject, text } = noticeOf({ type, detail });
  expect(subject).toMatch(/^ami-foundry: .{5,}/);
  expect(subject).not.toMatch(/[\r\n]/);
  expect(text.split('\n').length).toBeLessThan(25);
});
