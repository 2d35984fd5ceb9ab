// Makes console-light.png and console-dark.png anew: a real build on this machine's local cloud, as the console shows it.
// Run it from the root of the repository: node docs/pictures/console.ts
import { spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { serveConsole } from '../../cli/console-server.ts';
import { findApi } from '../../cli/find-api.ts';
import { startChromium } from '../../test/console/browser.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const state = `${root}.state/pictures`;
/** The stages in which a build has something to show everywhere. */
const STAGES = /worker: (inventory|filesystem|write|verify)/;
const SIZE = { width: 1280, height: 900 };

/** What `foundry` prints; ends this program with what it says when it fails. */
function foundry(...args: readonly string[]): string {
  const { status, stdout } = spawnSync(process.execPath, [`${root}cli/main.ts`, ...args, '--state', state], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`foundry ${args.join(' ')} ended with ${status}`);
  return stdout.trim();
}

// An image that is there already would be adopted, and nothing be seen.
await rm(state, { recursive: true, force: true });
foundry('cloud', 'up', '--port', '0');
try {
  await using clean = new AsyncDisposableStack();
  const browser = await startChromium();
  clean.defer(() => browser.close());
  const server = await serveConsole({ api: await findApi({ local: true, state }, process.env), port: 0 });
  clean.defer(() => server.close());
  const page = await browser.newPage({ viewport: SIZE, deviceScaleFactor: 1.5, reducedMotion: 'reduce' });
  await page.goto(server.address);
  const id = foundry('build', '--local', '--detach', 'examples/demo.yaml');
  await page.goto(`${new URL(server.address).origin}/builds/${id}`);
  await page.locator('.stages tr.running', { hasText: STAGES }).waitFor({ timeout: 120_000 });
  await page.locator('.terminal .line').first().waitFor();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.screenshot({ path: `${root}docs/pictures/console-${colorScheme}.png` });
  }
} finally {
  foundry('cloud', 'down');
}
