import * as z from 'zod/mini';
import { type ApiRoute, apiRoutes } from './routes.ts';
import { problemSchema } from './schemas.ts';

type Schema = Readonly<Record<string, unknown>>;

/** JSON Schema 2020-12, which is that of OpenAPI 3.1. */
function jsonSchema(schema: z.core.$ZodType, io: 'input' | 'output'): Schema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    target: 'draft-2020-12',
    unrepresentable: 'any',
  });
  return rest as Schema;
}

/** Of a query everything is text; what it is read as says more. */
function parameters(schema: z.ZodMiniObject | undefined, place: 'path' | 'query'): Schema[] {
  const shape = (schema?._zod.def.shape ?? {}) as Readonly<Record<string, z.ZodMiniType>>;
  return Object.entries(shape).map(([name, member]) => {
    const { description, ...rest } = jsonSchema(member, 'output');
    return {
      name,
      in: place,
      required: place === 'path',
      ...(description === undefined ? {} : { description }),
      schema: rest,
    };
  });
}

const meanings: Readonly<Record<number, string>> = { 200: 'Done.', 201: 'Made.', 202: 'Begun.' };

function operation(name: string, { summary, params, query, body, answers }: ApiRoute): Schema {
  const asked = [...parameters(params, 'path'), ...parameters(query, 'query')];
  return {
    operationId: name,
    summary,
    ...(asked.length === 0 ? {} : { parameters: asked }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: jsonSchema(body, 'input') } },
          },
        }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, schema]) => [
          status,
          {
            description: meanings[Number(status)] ?? 'Done.',
            content: { 'application/json': { schema: jsonSchema(schema, 'output') } },
          },
        ]),
      ),
      '4XX': { $ref: '#/components/responses/Problem' },
      '5XX': { $ref: '#/components/responses/Problem' },
    },
  };
}

/** The HTTP API as OpenAPI 3.1, from the schemas that its functions read and answer by. */
export function openApiDocument(): Record<string, unknown> {
  const paths: Record<string, Record<string, Schema>> = {};
  for (const [name, route] of Object.entries(apiRoutes)) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(name, route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'ami-foundry',
      version: '1',
      description:
        'Builds of FreeBSD machine images. Requests are signed by Signature Version 4 for the service execute-api. Times are ISO 8601, durations seconds, money US dollars.',
      license: { name: 'BSD-2-Clause', identifier: 'BSD-2-Clause' },
    },
    security: [{ iam: [] }],
    paths,
    components: {
      securitySchemes: {
        iam: {
          type: 'apiKey',
          in: 'header',
          name: 'Authorization',
          description: 'AWS Signature Version 4, service execute-api; IAM decides by execute-api:Invoke.',
          'x-amazon-apigateway-authtype': 'awsSigv4',
        },
      },
      schemas: { Problem: jsonSchema(problemSchema, 'output') },
      responses: {
        Problem: {
          description: 'What is wrong, as RFC 9457 has it; API Gateway’s own refusals are {"message": …}.',
          content: {
            'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
            'application/json': {
              schema: { type: 'object', properties: { message: { type: 'string' } }, required: ['message'] },
            },
          },
        },
      },
    },
  };
}
