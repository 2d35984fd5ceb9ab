// Writes docs/events.md from the schemas in core/events.ts. Run by `npm run docs`; a test fails when it is stale.
import { writeFile } from 'node:fs/promises';
import * as z from 'zod/mini';
import { type BusEventType, busEvents, busEventTypes, eventSlug, SOURCE } from '../core/events.ts';
import { exampleEvents } from './example-events.ts';
import type { Schema } from './recipe-schema.ts';

const intro = `# Events

What the factory says on the default event bus of its account and region, with the source \`${SOURCE}\`. Made from the schemas in \`core/events.ts\` by \`npm run docs\`.

Rules of your own take them like any event of EventBridge. A deployment also tells them to a topic, by mail or to a webhook ([infra/README.md](../infra/README.md), Notices).
Members may be added; none is taken away or changed in meaning. An event may come twice: those of builds have an \`id\` that is then the same.
\`Build Failed\` is also said of a build that took too long (\`status\` TIMED_OUT). Dry runs say nothing.`;

/** What a member may be, in a few words. */
function kind({ type, enum: values, anyOf, items, additionalProperties }: Schema): string {
  if (values) return values.map((value) => `\`${value}\``).join(' or ');
  if (anyOf) return anyOf.map(kind).join(' or ');
  if (items) return `list of ${kind(items)}s`;
  if (type === 'object' && typeof additionalProperties === 'object')
    return `map of ${kind(additionalProperties)}s`;
  return [type].flat().join(' or ');
}

function section(type: BusEventType): string {
  const { when, detail } = busEvents[type];
  const schema = z.toJSONSchema(detail, { target: 'draft-7' }) as Schema;
  const rows = Object.entries(schema.properties ?? {}).map(
    ([name, member]) =>
      `| \`${name}\` | ${kind(member)}${schema.required?.includes(name) ? '' : ', or absent'} | ${member.description ?? ''} |`,
  );
  const example = { source: SOURCE, 'detail-type': type, detail: exampleEvents[type] };
  return [
    `## ${type}`,
    `${when} As a setting: \`${eventSlug(type)}\`.`,
    ['| Member of `detail` | Is | Says |', '| --- | --- | --- |', ...rows].join('\n'),
    ['```json', JSON.stringify(example, null, 2), '```'].join('\n'),
  ].join('\n\n');
}

export const eventsPage = (): string => `${[intro, ...busEventTypes.map(section)].join('\n\n')}\n`;

if (import.meta.main) await writeFile(new URL('events.md', import.meta.url), eventsPage());
