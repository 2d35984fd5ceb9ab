// Writes docs/openapi.json from core/api/. Run by `npm run docs`; a test fails when it is stale.
import { writeFile } from 'node:fs/promises';
import { openApiDocument } from '../core/api/openapi.ts';

export const openApiFile = (): string => `${JSON.stringify(openApiDocument(), null, 2)}\n`;

if (import.meta.main) await writeFile(new URL('openapi.json', import.meta.url), openApiFile());
