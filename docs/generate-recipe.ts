// Writes docs/recipe.md from the schema in core/recipe.ts. Run by `npm run docs`; a test fails when the file is stale.
import { writeFile } from 'node:fs/promises';
import * as z from 'zod/mini';
import { recipeSchema } from '../core/recipe.ts';

interface Field {
  readonly description?: string;
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly anyOf?: readonly Field[];
  readonly items?: Field;
  readonly properties?: Readonly<Record<string, Field>>;
  readonly required?: readonly string[];
}

const kind = (field: Field): string => {
  if (field.enum) return field.enum.map((value) => `\`${value}\``).join(' or ');
  if (field.anyOf) return field.anyOf.map(kind).join(' or ');
  if (field.type === 'array') return `list of ${field.items ? kind(field.items) : 'values'}`;
  return field.type ?? 'value';
};

function rows(field: Field, prefix = ''): string[] {
  return Object.entries(field.properties ?? {}).flatMap(([key, member]) => {
    const name = `${prefix}${key}`;
    const fallback =
      member.default === undefined || member.properties ? '' : `\`${JSON.stringify(member.default)}\``;
    const need = field.required?.includes(key) ? 'required' : fallback;
    return [
      `| \`${name}\` | ${kind(member)} | ${need} | ${member.description ?? ''} |`,
      ...rows(member, `${name}.`),
    ];
  });
}

export function recipePage(): string {
  const schema = z.toJSONSchema(recipeSchema, { io: 'input', unrepresentable: 'any' }) as Field;
  return [
    '# The recipe',
    '',
    'YAML or JSON. Generated from `core/recipe.ts` by `npm run docs`; do not edit.',
    'Unknown keys are errors, and all problems of a recipe are reported at once. Examples: `examples/`.',
    'One of `release` and `source` is needed.',
    '',
    '| Key | Value | Default | Meaning |',
    '|---|---|---|---|',
    ...rows(schema),
    '',
  ].join('\n');
}

if (import.meta.main) await writeFile(new URL('recipe.md', import.meta.url), recipePage());
