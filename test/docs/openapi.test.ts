import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { apiRoutes } from '../../core/api/routes.ts';
import { openApiFile } from '../../docs/generate-openapi.ts';

describe('docs/openapi.json', () => {
  it('is what `npm run docs` writes', async () => {
    expect(await readFile(new URL('../../docs/openapi.json', import.meta.url), 'utf8')).toBe(openApiFile());
  });

  it('has an operation for each route, with the status of each of its answers', () => {
    const { paths } = JSON.parse(openApiFile()) as {
      paths: Record<string, Record<string, { operationId: string; responses: object }>>;
    };
    for (const [name, { method, path, answers }] of Object.entries(apiRoutes)) {
      const operation = paths[path]?.[method.toLowerCase()];
      expect(operation?.operationId).toBe(name);
      expect(Object.keys(operation?.responses ?? {})).toEqual([...Object.keys(answers), '4XX', '5XX']);
    }
  });
});
