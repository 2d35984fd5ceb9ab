/**
 * The EC2 Query protocol, server side: form parameters in, XML out (Smithy, "AWS EC2 query protocol"), and the plainer one
 * of older services (Smithy, "AWS query protocol"). The shapes come from the schemas that `@aws-sdk/client-*` export. Those
 * exports are not a documented contract of the SDK: the version is pinned and `test/local/ec2/codec.test.ts` tells when a
 * bump changes them.
 */
import { createRequire } from 'node:module';
import { NormalizedSchema } from '@smithy/core/schema';
import { ServiceError } from '../front/service-error.ts';

/** Where a service's shapes come from, and what is particular to its protocol. */
interface QueryService {
  sdk: string;
  /** Query parameters begin with capital letters, whatever the member's name. */
  capitals: boolean;
  /** Between a list's name and the number of an item, in requests. */
  infix: string;
  /** An item's element, in answers. */
  item: string;
}

const EC2: QueryService = { sdk: '@aws-sdk/client-ec2', capitals: true, infix: '', item: 'item' };
export const AUTO_SCALING: QueryService = {
  sdk: '@aws-sdk/client-auto-scaling',
  capitals: false,
  infix: 'member.',
  item: 'member',
};

export interface Operation {
  service: QueryService;
  name: string;
  input: NormalizedSchema;
  output: NormalizedSchema;
}

/** Tag of an operation schema: [9, namespace, name, traits, input, output]. */
const OPERATION = 9;
/** Index of the number of required members in a structure schema; required members come first. */
const REQUIRED_COUNT = 6;

type SchemaRef = Parameters<typeof NormalizedSchema.of>[0];
const require = createRequire(import.meta.url);
const operations = new Map<string, Operation | undefined>();

/** The operation's schemas, or undefined when the service has no such action. */
export function operationNamed(name: string, service = EC2): Operation | undefined {
  const key = `${service.sdk} ${name}`;
  if (!operations.has(key)) {
    const sdk = require(service.sdk) as Record<string, unknown>;
    const schema = sdk[`${name}$`];
    operations.set(
      key,
      Array.isArray(schema) && schema[0] === OPERATION
        ? {
            service,
            name,
            input: NormalizedSchema.of(schema[4] as SchemaRef),
            output: NormalizedSchema.of(schema[5] as SchemaRef),
          }
        : undefined,
    );
  }
  return operations.get(key);
}

/** Parameters that belong to the protocol, not to the input. */
const PROTOCOL = /^(Action|Version|X-Amz-.*|AWSAccessKeyId|Signature.*|Timestamp)$/;

const capitalised = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

function queryName(service: QueryService, member: string, schema: NormalizedSchema): string {
  const { ec2QueryName, xmlName } = schema.getMergedTraits() as { ec2QueryName?: string; xmlName?: string };
  if (!service.capitals) return xmlName ?? member;
  return ec2QueryName ?? (xmlName === undefined ? capitalised(member) : capitalised(xmlName));
}

/** Form parameters → the operation's input. A parameter that no member claims is an error, as on AWS. */
export function parseInput(operation: Operation, parameters: URLSearchParams): Record<string, unknown> {
  const claimed = new Set<string>();
  const input = parseStruct(operation.service, operation.input, parameters, '', claimed);
  for (const key of parameters.keys()) {
    if (!claimed.has(key) && !PROTOCOL.test(key)) {
      throw new ServiceError('UnknownParameter', `The parameter ${key} is not recognized`);
    }
  }
  checkRequired(operation.service, operation.input, input, '');
  return input;
}

function parseStruct(
  service: QueryService,
  schema: NormalizedSchema,
  parameters: URLSearchParams,
  prefix: string,
  claimed: Set<string>,
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [member, memberSchema] of schema.structIterator()) {
    const name = prefix + queryName(service, member, memberSchema);
    const value = parse(service, memberSchema, parameters, name, claimed);
    if (value !== undefined) result[member] = value;
  }
  return result;
}

function parse(
  service: QueryService,
  schema: NormalizedSchema,
  parameters: URLSearchParams,
  name: string,
  claimed: Set<string>,
): unknown {
  if (schema.isStructSchema()) {
    // Shapes such as Expression hold themselves: only descend where a parameter leads.
    if (!hasPrefix(parameters, `${name}.`)) return undefined;
    return parseStruct(service, schema, parameters, `${name}.`, claimed);
  }
  if (schema.isListSchema()) {
    const items = `${name}.${service.infix}`;
    const indices = new Set<number>();
    for (const key of parameters.keys()) {
      if (!key.startsWith(items)) continue;
      const index = Number(key.slice(items.length).split('.')[0]);
      if (Number.isInteger(index) && index > 0) indices.add(index);
    }
    if (indices.size === 0) return undefined;
    return [...indices]
      .sort((a, b) => a - b)
      .map((index) => parse(service, schema.getValueSchema(), parameters, `${items}${index}`, claimed));
  }
  const text = parameters.get(name);
  if (text === null) return undefined;
  claimed.add(name);
  if (schema.isBooleanSchema()) {
    if (text !== 'true' && text !== 'false') {
      throw new ServiceError(
        'InvalidParameterValue',
        `Value (${text}) for parameter ${name} is invalid. Must be true or false.`,
      );
    }
    return text === 'true';
  }
  if (schema.isNumericSchema()) {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value)) {
      throw new ServiceError('InvalidParameterValue', `Value (${text}) for parameter ${name} is invalid.`);
    }
    return value;
  }
  if (schema.isTimestampSchema()) {
    const value = new Date(text);
    if (Number.isNaN(value.getTime())) {
      throw new ServiceError('InvalidParameterValue', `Value (${text}) for parameter ${name} is invalid.`);
    }
    return value;
  }
  if (schema.isBlobSchema()) return Buffer.from(text, 'base64');
  if (schema.isStringSchema()) return text;
  throw new Error(`The codec has no reader for ${name}`);
}

function hasPrefix(parameters: URLSearchParams, prefix: string): boolean {
  for (const key of parameters.keys()) if (key.startsWith(prefix)) return true;
  return false;
}

/** EC2 API Reference, "Error codes": MissingParameter, "The request is missing a required parameter". */
function checkRequired(
  service: QueryService,
  schema: NormalizedSchema,
  value: Record<string, unknown>,
  prefix: string,
): void {
  const required = (schema.getSchema() as readonly unknown[])[REQUIRED_COUNT];
  let left = typeof required === 'number' ? required : 0;
  for (const [member, memberSchema] of schema.structIterator()) {
    const given = value[member];
    if (left-- > 0 && given === undefined) {
      throw new ServiceError(
        'MissingParameter',
        `The request must contain the parameter ${prefix}${queryName(service, member, memberSchema)}`,
      );
    }
    if (given === undefined) continue;
    if (memberSchema.isStructSchema()) {
      checkRequired(service, memberSchema, given as Record<string, unknown>, `${prefix}${member}.`);
    } else if (memberSchema.isListSchema() && memberSchema.getValueSchema().isStructSchema()) {
      for (const item of given as Record<string, unknown>[]) {
        checkRequired(service, memberSchema.getValueSchema(), item, `${prefix}${member}.`);
      }
    }
  }
}

/** What XML 1.0 cannot carry even escaped ("Char" production); the SDK and expat would refuse the whole answer. */
const NOT_XML = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

export const escapeXml = (text: string): string =>
  text
    .replace(NOT_XML, '\ufffd')
    .replace(/[&<>"\r]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? '&#13;');

/** The operation's output → the members' XML. A key that the output shape does not have is a bug here, so it throws. */
export function renderOutput(operation: Operation, output: object): string {
  return render(operation.service, operation.output, output, operation.name);
}

function render(service: QueryService, schema: NormalizedSchema, value: unknown, where: string): string {
  if (schema.isStructSchema()) {
    const known = new Set<string>();
    let xml = '';
    for (const [member, memberSchema] of schema.structIterator()) {
      known.add(member);
      const given = (value as Record<string, unknown>)[member];
      if (given === undefined || given === null) continue;
      const tag = (memberSchema.getMergedTraits() as { xmlName?: string }).xmlName ?? member;
      xml += `<${tag}>${render(service, memberSchema, given, `${where}.${member}`)}</${tag}>`;
    }
    for (const key of Object.keys(value as object)) {
      if (!known.has(key)) throw new Error(`${where} has no member ${key}`);
    }
    return xml;
  }
  if (schema.isListSchema()) {
    const item = schema.getValueSchema();
    const tag = (item.getMergedTraits() as { xmlName?: string }).xmlName ?? service.item;
    return (value as unknown[])
      .map((one) => `<${tag}>${render(service, item, one, where)}</${tag}>`)
      .join('');
  }
  if (schema.isTimestampSchema()) return (value as Date).toISOString();
  if (schema.isBlobSchema()) return Buffer.from(value as Uint8Array).toString('base64');
  return escapeXml(String(value));
}
