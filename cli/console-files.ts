import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { runbookEntries } from './runbook.ts';

/** A file of the page, whole in memory: no request ever opens one. */
export interface ConsoleFile {
  readonly type: string;
  readonly body: Uint8Array | string;
}

const root = fileURLToPath(new URL('../', import.meta.url));
const read = async (path: string) => await readFile(`${root}${path}`, 'utf8');

/** All that the page is made of, by path; the page itself is `/`. Bundled at each start: its users have nothing to build. */
export async function consoleFiles(): Promise<ReadonlyMap<string, ConsoleFile>> {
  const [{ outputFiles }, page, icon, machine, runbook] = await Promise.all([
    esbuild.build({
      absWorkingDir: root,
      entryPoints: [
        { in: 'console/main.tsx', out: 'console' },
        { in: 'console/console.css', out: 'console' },
      ],
      outdir: 'out',
      write: false,
      bundle: true,
      minify: true,
      format: 'esm',
      target: 'es2022',
      tsconfig: 'console/tsconfig.json',
      legalComments: 'none',
      logLevel: 'warning',
    }),
    read('console/index.html'),
    read('console/icon.svg'),
    read('statemachines/build-image.asl.json'),
    read('docs/runbook.md'),
  ]);
  const bundled = (ending: string) =>
    outputFiles.find(({ path }) => path.endsWith(ending))?.contents ?? new Uint8Array();
  const json = 'application/json; charset=utf-8';
  return new Map<string, ConsoleFile>([
    ['/', { type: 'text/html; charset=utf-8', body: page }],
    ['/console.js', { type: 'text/javascript; charset=utf-8', body: bundled('.js') }],
    ['/console.css', { type: 'text/css; charset=utf-8', body: bundled('.css') }],
    ['/icon.svg', { type: 'image/svg+xml', body: icon }],
    ['/data/build-image.asl.json', { type: json, body: machine }],
    ['/data/runbook.json', { type: json, body: JSON.stringify(runbookEntries(runbook)) }],
  ]);
}
