// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${name} is what a recipe writes.
// What the schemas of core/ say, as JSON Schema: docs/recipe.schema.json for editors, and the source of docs/recipe.md.
import * as z from 'zod/mini';
import { recipeSchema } from '../core/recipe.ts';
import { matrixSchema } from '../core/recipe-matrix.ts';
import { parametersSchema } from '../core/recipe-parameters.ts';

/** The parts of JSON Schema (draft 7, which editors know best) that are used. */
export interface Schema {
  readonly $schema?: string;
  readonly $ref?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly (string | number | boolean)[];
  readonly const?: string | number | boolean;
  readonly default?: unknown;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly minItems?: number;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly propertyNames?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly if?: Schema;
  readonly else?: Schema;
  readonly allOf?: readonly Schema[];
  readonly definitions?: Readonly<Record<string, Schema>>;
}

/** A zod schema as people write values for it. */
const jsonSchema = (schema: z.core.$ZodType): Schema => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-7',
    unrepresentable: 'any',
  }) as Schema;
  return rest;
};

/** A recipe as a function takes it. */
export const plainSchema = (): Schema => jsonSchema(recipeSchema);

/** Keys that stand in files only. */
export const compositionSchemas = (): Readonly<Record<'extends' | 'parameters' | 'matrix', Schema>> => ({
  extends: {
    description:
      'A file, or files, that this one is laid over: paths relative to this file. The later wins, this file over all.',
    anyOf: [
      { type: 'string', minLength: 1 },
      { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1 },
    ],
  },
  parameters: {
    description: 'Values that ${name} stands for in the strings of the recipe; given by --set name=value.',
    ...jsonSchema(parametersSchema),
  },
  matrix: {
    description:
      'Builds every combination: lists of values for release, architecture, filesystem, flavour and parameters.',
    ...jsonSchema(matrixSchema),
  },
});

const reference: Schema = { $ref: '#/definitions/reference' };
const removed: Schema = { $ref: '#/definitions/removed' };

const isMap = (schema: Schema): boolean => schema.type === 'object';

/** A schema or what may stand in its place, with its description and default where editors look for them. */
function alternatives(
  { description, default: fallback, ...schema }: Schema,
  others: readonly Schema[],
): Schema {
  if (others.length === 0)
    return {
      ...schema,
      ...(description && { description }),
      ...(fallback !== undefined && { default: fallback }),
    };
  return {
    ...(description === undefined ? {} : { description }),
    ...(fallback === undefined ? {} : { default: fallback }),
    anyOf: [...(schema.anyOf && Object.keys(schema).length === 1 ? schema.anyOf : [schema]), ...others],
  };
}

/** A plain string takes any reference as it is. */
const takesAnyString = (schema: Schema): boolean =>
  schema.type === 'string' &&
  schema.pattern === undefined &&
  schema.enum === undefined &&
  schema.const === undefined;

/** A value as it may stand in a file: with `${name}` wherever a scalar is. `removable`: it is a key that null takes away. */
function fileValue(schema: Schema, removable: boolean): Schema {
  const nothing = removable ? [removed] : [];
  if (isMap(schema)) return alternatives(fileMap(schema, removable), nothing);
  if (schema.items) return alternatives({ ...schema, items: fileValue(schema.items, false) }, nothing);
  if (schema.anyOf?.some(isMap)) {
    const anyOf = schema.anyOf.map((each) => (isMap(each) ? fileMap(each, removable) : each));
    return alternatives({ ...schema, anyOf }, [reference, ...nothing]);
  }
  return alternatives(schema, [...(takesAnyString(schema) ? [] : [reference]), ...nothing]);
}

/** A map of a file: in one that is merged any key may be missing, null or, if it is a list, added to. */
function fileMap(schema: Schema, merged: boolean): Schema {
  // Every key of a JSON object is a string: propertyNames says no more than that here.
  const { required, properties = {}, additionalProperties, propertyNames: _, ...rest } = schema;
  const entries = Object.entries(properties).flatMap(([key, value]): [string, Schema][] => {
    const own: [string, Schema] = [key, fileValue(value, merged)];
    if (!merged || value.items === undefined) return [own];
    const { default: __, minItems: ___, ...list } = value;
    const description = `Adds to ${key} of the extended files; what has the same name or path takes its place.`;
    return [own, [`${key}+`, fileValue({ ...list, description }, false)]];
  });
  return {
    ...rest,
    ...(entries.length > 0 ? { properties: Object.fromEntries(entries) } : {}),
    ...(additionalProperties === undefined
      ? {}
      : {
          additionalProperties:
            typeof additionalProperties === 'boolean'
              ? additionalProperties
              : fileValue(additionalProperties, merged),
        }),
    ...(merged || required === undefined ? {} : { required }),
  };
}

const given = (...keys: string[]): Schema => ({ type: 'object', required: keys });
const byMatrix = (key: string): Schema => ({ ...given('matrix'), properties: { matrix: given(key) } });

/** The file of a recipe: for editors. Where JSON Schema cannot tell, it lets pass what the parser refuses; never the other way. */
export function fileSchema(): Schema {
  const plain = plainSchema();
  const { properties, ...rest } = fileMap(plain, true);
  const composition = compositionSchemas();
  const complete = Object.entries(plain.properties ?? {}).filter(([, value]) => value.required?.length);
  const needed = (plain.required ?? []).filter((key) => key !== 'architecture');
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Recipe of ami-foundry',
    description: 'Generated from core/recipe.ts by `npm run docs`; do not edit.',
    ...rest,
    properties: { ...composition, ...properties },
    // What extends nothing has nobody to complete it, and nothing to remove.
    if: given('extends'),
    else: {
      required: needed,
      properties: Object.fromEntries(
        complete.map(([key, value]) => [key, { type: 'object', required: value.required ?? [] }]),
      ),
      additionalProperties: { type: ['string', 'number', 'boolean', 'array', 'object'] },
      allOf: [
        { anyOf: [given('architecture'), byMatrix('architecture')] },
        { anyOf: [given('release'), given('source'), byMatrix('release')] },
      ],
    },
    // Without descriptions: editors show that of the key.
    definitions: {
      reference: { type: 'string', pattern: '\\$\\{' },
      removed: { type: 'null' },
    },
  };
}
