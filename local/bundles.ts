import { spawn } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

const root = new URL('../', import.meta.url).pathname;

/** What the bundles and the worker's payload are made of. */
const sources = 'adapters core functions image packages worker esbuild.config.mjs package-lock.json'.split(
  ' ',
);

/** esbuild.config.mjs writes it last. */
const product = join(root, 'dist/worker-payload.sha256');

/** When something below a path was changed last. */
async function newest(path: string): Promise<number> {
  const facts = await stat(path);
  if (!facts.isDirectory()) return facts.mtimeMs;
  const below = await readdir(path);
  return Math.max(facts.mtimeMs, ...(await Promise.all(below.map((name) => newest(join(path, name))))));
}

/** Makes dist/ if it is older than what it is made of: whoever runs from it now must not find it half made. */
export async function makeBundles(): Promise<void> {
  const made = await stat(product).catch(() => undefined);
  const changed = await Promise.all(sources.map((source) => newest(join(root, source))));
  if (made !== undefined && made.mtimeMs > Math.max(...changed)) return;
  const code = await new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'esbuild.config.mjs')], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`esbuild.config.mjs ended with ${String(code)}`);
}
