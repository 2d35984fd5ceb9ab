// Writes docs/recipe.md and docs/recipe.schema.json from the schemas in core/. Run by `npm run docs`; a test fails when they are stale.
import { writeFile } from 'node:fs/promises';
import { compositionSchemas, fileSchema, plainSchema, type Schema } from './recipe-schema.ts';

const code = (value: unknown): string => `\`${JSON.stringify(value).replaceAll('|', '\\|')}\``;

/** What a value may be, in a few words. */
function kind(schema: Schema): string {
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(' or ');
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.anyOf) return [...new Set(schema.anyOf.map(kind))].join(' or ');
  if (schema.items?.type === 'object') return 'list of maps';
  if (schema.items) return `list of ${kind(schema.items).split(' or ').map(plural).join(' or ')}`;
  if (schema.type === 'object' && schema.properties) return 'map';
  if (schema.type === 'object') return `map of ${recordKind(schema).split(' or ').map(plural).join(' or ')}`;
  return [schema.type ?? 'value'].flat().join(' or ');
}

const recordKind = ({ additionalProperties }: Schema): string =>
  typeof additionalProperties === 'object' ? kind(additionalProperties) : 'value';

const plural = (words: string): string =>
  words === 'map' || /^(string|integer|number|boolean|value)$/.test(words) ? `${words}s` : words;

/** A row for each key, and below it those of the maps that it holds. */
function rows(schema: Schema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, member]) => {
    const name = `${prefix}${key}`;
    const fallback = member.default === undefined || isEmpty(member.default) ? '' : code(member.default);
    const need = schema.required?.includes(key) ? 'required' : fallback;
    const meaning = (member.description ?? '').replaceAll('|', '\\|');
    return [`| \`${name}\` | ${kind(member)} | ${need} | ${meaning} |`, ...inner(member, name)];
  });
}

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;

function inner(schema: Schema, name: string): string[] {
  if (schema.items) return rows(schema.items, `${name}[].`);
  const record = schema.additionalProperties;
  return [
    ...(schema.anyOf ?? []).flatMap((each) => rows(each, `${name}.`)),
    ...rows(schema, `${name}.`),
    ...(typeof record === 'object' ? rows(record, `${name}.<name>.`) : []),
  ];
}

const table = (schema: Schema): string[] => [
  '| Key | Value | Default | Meaning |',
  '|---|---|---|---|',
  ...rows(schema, ''),
];

export const recipePage = (): string =>
  [
    '# The recipe',
    '',
    'YAML or JSON. Generated from `core/` by `npm run docs`; do not edit.',
    'Unknown keys are errors, and all problems of a recipe are reported at once. Examples: `examples/`.',
    'One of `release` and `source` is needed. Lists and maps without a default are empty.',
    '',
    '`foundry validate RECIPE` checks a recipe, `foundry plan RECIPE` shows what would be built. Editors check and complete while you type,',
    'by [recipe.schema.json](recipe.schema.json): begin the file with `# yaml-language-server: $schema=` and the path to it.',
    '',
    ...table(plainSchema()),
    '',
    '## In files only',
    '',
    'These are resolved before a build starts: [Composing recipes](composing-recipes.md).',
    '',
    ...table({ properties: compositionSchemas() }),
    '',
  ].join('\n');

export const schemaFile = (): string => `${JSON.stringify(fileSchema(), null, 2)}\n`;

if (import.meta.main) {
  await writeFile(new URL('recipe.md', import.meta.url), recipePage());
  await writeFile(new URL('recipe.schema.json', import.meta.url), schemaFile());
}
