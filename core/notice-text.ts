import { type BusEventType, busEvents, type DetailOf } from './events.ts';

/** An event of the bus, as far as a notice needs it. */
export interface NoticedEvent {
  readonly type: BusEventType;
  readonly detail: unknown;
}

/** A mail or a message: a line for the list, and one screen of plain text. */
export interface Notice {
  readonly subject: string;
  readonly text: string;
}

/** What RFC 5322 calls a line that every reader shows. */
const SUBJECT_LIMIT = 150;
const MESSAGE_LINES = 12;

const minutes = (seconds: number): string =>
  seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
const money = (dollars: number): string => `$${dollars < 0.1 ? dollars.toFixed(4) : dollars.toFixed(2)}`;
/** What is not known is not told. */
const keeping = (monthly: number | null): string =>
  monthly === null ? '' : `, and ${money(monthly)} a month for its snapshots`;
/** Without what would begin a header or a line of its own. */
const oneLine = (text: string): string => text.replaceAll(/[\r\n\t\p{Cc}]+/gu, ' ').trim();

const placesOf = (regions: Readonly<Record<string, string>>): string[] =>
  Object.entries(regions).map(([region, imageId]) => `${region.padEnd(16)}${imageId}`);

/** `name    value` lines under each other; without those that have no value. */
const facts = (pairs: readonly (readonly [string, string | null])[]): string[] =>
  pairs.flatMap(([name, value]) => (value === null ? [] : [`${name.padEnd(10)}${value}`]));

type Parts = readonly [subject: string, ...paragraphs: (readonly string[])[]];

const writers: { readonly [Type in BusEventType]: (detail: DetailOf<Type>) => Parts } = {
  'Build Started': ({ build, recipe, execution }) => [
    `${recipe ?? build} started`,
    [`The build ${build} has begun.`],
    facts([['execution', execution]]),
  ],

  'Build Succeeded': (detail) => {
    const { recipe, build, adopted, name, imageId, region, regions, seconds, dollars, monthlyDollars } =
      detail;
    return [
      `${recipe ?? build} ${adopted ? 'is there already' : 'built'}: ${imageId}`,
      [adopted ? `${build} adopted the image that an earlier build made:` : `${build} made an image:`],
      facts([
        ['image', `${imageId}  (${name})`],
        ['region', region],
        ['time', minutes(seconds)],
        ['price', `${money(dollars)}${keeping(monthlyDollars)} (list prices)`],
        ['receipt', detail.receipt],
        ['execution', detail.execution],
      ]),
      ...(detail.held ? [['It is published with all others of its matrix.']] : []),
      ...(Object.keys(regions).length > 0 ? [['Published in', ...placesOf(regions)]] : []),
    ];
  },

  'Build Failed': (detail) => [
    `${detail.recipe ?? detail.build} failed: ${detail.code}: ${detail.decisive}`,
    [
      `${detail.build} ${detail.status === 'TIMED_OUT' ? 'took too long' : 'failed'} after ${minutes(detail.seconds)}.`,
    ],
    ...badly(detail),
  ],

  'Build Aborted': (detail) => [
    `${detail.recipe ?? detail.build} was stopped`,
    [`Somebody has stopped ${detail.build} after ${minutes(detail.seconds)}.`],
    ...badly(detail),
  ],

  'Image Published': ({ name, recipe, build, regions, parameters }) => [
    `${recipe} published: ${name}`,
    [`All regions show the image of ${build}:`, ...placesOf(regions)],
    ...(parameters.length > 0 ? [['Parameters', ...parameters]] : []),
  ],

  'Image Quarantined': ({ name, line, regions, deletedAfter, undo }) => [
    `${name ?? line} is put away`,
    ['No recipe keeps this image, and nobody uses it. It cannot be launched any more:', ...placesOf(regions)],
    [`It will be deleted after ${deletedAfter}. To bring it back:`, undo],
  ],

  'Image Restored': ({ name, line, regions }) => [
    `${name ?? line} is back`,
    ['Brought back from quarantine:', ...placesOf(regions)],
  ],

  'Image Retired': ({ name, line, regions }) => [
    `${name ?? line} is deleted`,
    ['Deleted, with its snapshots and parameters:', ...placesOf(regions)],
  ],

  'Release Seen': ({ release, architecture, builtOn, revision }) => [
    `FreeBSD ${release} for ${architecture}`,
    [`The mirror has FreeBSD ${release} for ${architecture}. What is subscribed to it is built.`],
    facts([
      ['built on', builtOn],
      ['commit', revision],
    ]),
  ],
};

/** What decided, what to do next, and where to read more. */
function badly(detail: DetailOf<'Build Aborted'>): (readonly string[])[] {
  const { code, message, remedy, runbook, evidence, kept, resume, dollars, receipt, execution } = detail;
  const lines = message.split('\n');
  const shown = lines.slice(0, MESSAGE_LINES);
  return [
    [`${code}: ${shown.join('\n')}`, ...(lines.length > shown.length ? ['…'] : [])],
    ...(remedy === null ? [] : [[`What to do: ${remedy}`]]),
    ...(resume === null ? [] : [['Once more, with what was kept:', `  ${resume}`]]),
    facts([
      ['runbook', runbook],
      ['evidence', evidence.length > 0 ? evidence.join(', ') : null],
      ['kept', kept.length > 0 ? kept.join(', ') : null],
      ['price', `${money(dollars)} (list prices)`],
      ['receipt', receipt],
      ['execution', execution],
    ]),
  ];
}

/** An event in plain text; throws when its detail does not fit its schema. */
export function noticeOf({ type, detail }: NoticedEvent): Notice {
  const write = writers[type] as (detail: unknown) => Parts;
  const [subject, ...paragraphs] = write(busEvents[type].detail.parse(detail));
  const line = oneLine(`ami-foundry: ${subject}`);
  return {
    subject: line.length > SUBJECT_LIMIT ? `${line.slice(0, SUBJECT_LIMIT - 1)}…` : line,
    text: `${paragraphs.map((lines) => lines.join('\n')).join('\n\n')}\n`,
  };
}
