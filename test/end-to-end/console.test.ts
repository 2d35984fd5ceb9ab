import { readFile } from 'node:fs/promises';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Api, factoryApi } from '../../cli/api.ts';
import { type ConsoleServer, serveConsole } from '../../cli/console-server.ts';
import type { StubMachineEnd } from '../../local/instance-host/stub.ts';
import type { StubWorkerEnd } from '../../local/instance-host/stub-worker.ts';
import { chromiumPath, startChromium } from '../console/browser.ts';
import { type Factory, startFactory } from './local-build.ts';

/**
 * The console in Chromium, before the API's own bundles on the local cloud. No name resolves in this browser: what the page needs from
 * elsewhere is not there.
 */

let factory: Factory;
let api: Api;
let server: ConsoleServer;
let browser: Browser;
let context: BrowserContext;
let page: Page;
/** What the browser complains of: errors of scripts, and what the content security policy has refused. */
const complaints: string[] = [];
const ends = new Map<string, StubWorkerEnd>();
let machineEnd: StubMachineEnd = 'ok';

const withoutBrowser = chromiumPath === undefined;
if (withoutBrowser) console.warn('console.test.ts is skipped: there is no chromium (local/setup.sh test)');

beforeAll(async () => {
  if (withoutBrowser) return;
  factory = await startFactory({
    cloud: {
      stub: {
        worker: (build) => [...ends].find(([name]) => build.startsWith(name))?.[1] ?? 'ok',
        machine: () => machineEnd,
      },
      throttle: false,
    },
  });
  const { endpoint: url, region, credentials } = factory.cloud;
  api = factoryApi({ url, region, credentials: async () => credentials });
  server = await serveConsole({ api, port: 0 });
  browser = await startChromium();
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await server?.close();
  await factory?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  if (withoutBrowser) return;
  context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  page = await context.newPage();
  // A whole build is waited for, on machines that may be busy.
  page.setDefaultTimeout(60_000);
  complaints.length = 0;
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('console', (message) => {
    // A status of the API that is no success is a line of Chromium's own.
    if (message.type() === 'error' && !message.text().includes('the server responded with a status of'))
      complaints.push(message.text());
  });
  await page.goto(server.address);
});
afterEach(async () => {
  await context?.close();
  expect(complaints).toEqual([]);
});

const at = (path: string) => `${new URL(server.address).origin}${path}`;
const yaml = (changes: Record<string, unknown>) => JSON.stringify(factory.recipe(changes), null, 2);
const start = async (changes: Record<string, unknown>) =>
  (await api.call('start-build', { body: { recipe: factory.recipe(changes) } })).id;
async function ended(id: string) {
  for (;;) {
    const build = await api.call('show-build', { params: { id } });
    if (build.status !== 'RUNNING') return build;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
const panel = (name: string | RegExp) => page.getByRole('region', { name });
const recipeField = () => page.getByRole('textbox', { name: 'Recipe' });
const badge = (word: string) => page.locator('main .title .badge', { hasText: word });

/** What axe-core finds that is serious, in the page as it stands. */
async function violations(): Promise<string[]> {
  // Not by a script element: the page's own policy would refuse it.
  const axe = await readFile(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
  const found = (await page.evaluate(
    `(async () => { const module = undefined; ${axe}; return (await axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })).violations
      .map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map(({ target, failureSummary }) => target.join(' ') + ': ' + failureSummary) })); })()`,
  )) as { id: string; impact: string; nodes: string[] }[];
  return found
    .filter(({ impact }) => impact !== 'minor')
    .map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.slice(0, 3).join('; ')}`);
}

describe.skipIf(withoutBrowser)('the console', () => {
  it('takes a recipe, plans it, starts it, and shows it until it has ended', async () => {
    await page.getByRole('link', { name: 'Start a build' }).click();
    await recipeField().fill(yaml({ name: 'by-hand', bootTest: {} }));
    expect(await page.getByRole('button', { name: 'Start the build' }).isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'Plan' }).click();
    await panel('Plan').getByText('by-hand 15.1-RELEASE-amd64').first().waitFor();
    await panel('Plan')
      .getByText(/^about \$/)
      .waitFor();
    // Of another text the plan is none: it has to be planned again.
    await recipeField().fill(`${yaml({ name: 'by-hand', bootTest: {} })}\n`);
    expect(await page.getByRole('button', { name: 'Start the build' }).isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'Plan' }).click();
    await page.getByRole('button', { name: 'Start the build' }).click();

    await page.waitForURL(/\/builds\/by-hand-[0-9a-f]{12}(-\d+)?$/);
    await badge('Succeeded').waitFor();
    const result = await panel('Result').getByText(/^ami-/).first().textContent();
    const id = new URL(page.url()).pathname.split('/')[2] ?? '';
    expect(result).toBe((await ended(id)).result?.imageId);
    // The whole road, in the picture and in the bars.
    for (const state of ['Plan', 'WaitForBoot', 'CleanUp', 'Done']) {
      expect(
        await page.getByRole('button', { name: new RegExp(`^${state}: succeeded, entered`) }).count(),
        state,
      ).toBe(1);
    }
    expect(await page.getByRole('button', { name: 'Salvage: not entered' }).count()).toBe(1);
    expect(await panel('Stages').locator('tr.done').count()).toBeGreaterThan(15);
    await panel('Console').getByText('login:').waitFor();
    await panel('Console').getByRole('combobox').selectOption('worker');
    await panel('Console').getByText('foundry: phase=verify state=done', { exact: false }).waitFor();
    await panel('Receipt').getByText('m6i.large').first().waitFor();
    await panel('Resources').getByRole('link', { name: /^ami-/ }).waitFor();
    await page.getByRole('link', { name: 'Builds' }).first().click();
    await page.getByRole('row', { name: /^by-hand-[0-9a-f]{12} Succeeded/ }).waitFor();
  }, 120_000);

  it('shows what is wrong with a recipe at its fields, and where they stand', async () => {
    await page.goto(at('/start'));
    const recipe = 'name: web\nrelease: 15.1-RELEASE\narchitecture: amd64\nusers:\n  - nam: ops\n';
    await page.locator('input[type=file]').setInputFiles({
      name: 'web.yaml',
      mimeType: 'application/yaml',
      buffer: Buffer.from(recipe),
    });
    await page.getByRole('button', { name: 'Plan' }).click();
    const wrong = page.getByRole('alert').getByRole('listitem').filter({ hasText: 'did you mean name?' });
    await wrong.getByText('users.0.nam', { exact: true }).waitFor();
    await wrong.getByRole('button', { name: 'line 5' }).click();
    expect(
      await page.evaluate(
        'document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd)',
      ),
    ).toBe('  - nam: ops');
  });

  it('aborts a build, but not before it has asked', async () => {
    ends.set('stops', 'hang');
    const id = await start({ name: 'stops' });
    await page.goto(at(`/builds/${id}`));
    await page.getByRole('button', { name: /^(Pause|Wait)ForWorker: running/ }).waitFor();
    await panel('Console').getByText('phase=preflight state=start').waitFor();
    await page.getByRole('button', { name: 'Abort' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await expect.poll(() => page.evaluate('document.activeElement.textContent')).toBe('Abort');
    expect((await api.call('show-build', { params: { id } })).status).toBe('RUNNING');
    await page.getByRole('button', { name: 'Abort' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Abort the build' }).click();
    await badge('Aborted').waitFor();
    expect((await ended(id)).status).toBe('ABORTED');
    await page.locator('[aria-live=polite]', { hasText: `${id}: Aborted` }).waitFor({ state: 'attached' });
  }, 120_000);

  it('tells of a failure: the decisive line in the console’s text, the runbook beside it', async () => {
    machineEnd = 'panic';
    const id = await start({ name: 'panics', bootTest: {} });
    await ended(id);
    machineEnd = 'ok';
    await page.goto(at(`/builds/${id}`));
    await badge('Failed').waitFor();
    await panel('Failed: BootPanicked').getByText('panic: the stub was told to').first().waitFor();
    await panel('Runbook: BootPanicked')
      .getByText('a kernel, module or', { exact: false })
      .or(panel('Runbook: BootPanicked').getByText('Resolution.'))
      .first()
      .waitFor();
    const line = page.locator('.terminal .decisive', { hasText: 'panic: the stub was told to' });
    await line.waitFor();
    await page.getByRole('button', { name: 'show it in the console' }).click();
    await expect.poll(() => page.evaluate('document.activeElement.getAttribute("role")')).toBe('log');
    await page.getByRole('button', { name: /^WaitForBoot: failed, caught/ }).waitFor();
    await page.getByRole('button', { name: /^BuildFailed: failed/ }).waitFor();
    // Its author has to change the recipe, and that is another build.
    expect(await page.getByRole('button', { name: 'Resume' }).count()).toBe(0);
  }, 120_000);

  it('goes on after a failure, and shows an entry of the runbook only of what is the factory’s own', async () => {
    ends.set('goes-on', { code: 'WriteFailed' });
    const id = await start({ name: 'goes-on' });
    const build = await ended(id);
    ends.delete('goes-on');
    const failure = build.failure ?? expect.fail(`${id} has no failure`);
    // As of an error of AWS that is called the same.
    const json = { ...build, failure: { ...failure, runbook: 'docs/runbook.md', resumable: false } };
    await page.route(`**/api/builds/${id}`, (route) => route.fulfill({ json }));
    await page.goto(at(`/builds/${id}`));
    const entry = panel('Runbook: WriteFailed');
    await entry.getByText('it is AWS’s own', { exact: false }).waitFor();
    expect(await page.getByRole('button', { name: 'Resume' }).count()).toBe(0);
    await page.unrouteAll();
    await page.reload();
    await entry.getByText('Resolution.').waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Resume the build' }).click();
    await page.waitForURL(`**/builds/${id}-2`);
    await badge('Succeeded').waitFor();
  }, 120_000);

  it('searches a console, and can be kept from following it', async () => {
    ends.set('talks', 'hang');
    const id = await start({ name: 'talks' });
    await page.goto(at(`/builds/${id}`));
    const follow = panel('Console').getByLabel('Follow');
    await panel('Console').getByText('phase=preflight state=start').waitFor();
    expect(await follow.isChecked()).toBe(true);
    await panel('Console').getByRole('searchbox').fill('PREFLIGHT');
    await panel('Console').locator('mark', { hasText: 'preflight' }).waitFor();
    await panel('Console').getByText('1 of 1').waitFor();
    expect(await follow.isChecked()).toBe(false);
    await panel('Console').getByLabel('Only lines found').check();
    expect(await page.locator('.terminal .line').count()).toBe(1);
    await api.call('abort-build', { params: { id } });
  }, 120_000);

  it('lists images by region, and retires one with its way back', async () => {
    const id = await start({ name: 'retires' });
    const { result } = await ended(id);
    const imageId = result?.imageId ?? '';
    await page.goto(at('/images?recipe=retires'));
    await page.getByRole('rowheader', { name: /^us-east-1/ }).waitFor();
    await page.getByRole('button', { name: `Retire ${imageId}` }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Retire', exact: true }).click();
    const told = page.getByRole('dialog', { name: `${imageId}: what was done` });
    await told.getByText('To take it back').waitFor();
    await told.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('row', { name: new RegExp(`${imageId}.*in quarantine`) }).waitFor();
  }, 120_000);

  it('starts a matrix, and shows its builds until all have ended', async () => {
    await page.goto(at('/start'));
    const matrix = { flavour: ['small', 'base'] };
    await recipeField().fill(yaml({ name: 'many', matrix }));
    await page.getByLabel('Publish all images of the matrix, or none').check();
    await page.getByRole('button', { name: 'Start all builds' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Start them' }).click();
    await page.waitForURL(/\/matrices\/[\w-]+$/);
    await badge('Succeeded').waitFor();
    await page.getByRole('heading', { name: '2 of 2 builds have ended' }).waitFor();
    await panel('Builds')
      .getByRole('link', { name: /^many-/ })
      .first()
      .click();
    await badge('Succeeded').waitFor();
  }, 120_000);

  it('is used by keys alone', async () => {
    const id = await start({ name: 'keys' });
    await ended(id);
    await page.goto(at('/images'));
    await page.getByRole('heading', { name: 'Images' }).waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('b');
    await page.getByRole('heading', { name: 'Builds' }).waitFor();
    // After the page is painted.
    await expect.poll(() => page.evaluate('document.activeElement.tagName')).toBe('MAIN');
    await page.locator('tbody tr').first().waitFor();
    await page.keyboard.press('j');
    const first = String(await page.evaluate('document.activeElement.textContent'));
    await page.keyboard.press('Enter');
    await page.waitForURL(`**/builds/${first}`);
    await page.locator('.graph svg').waitFor();

    // Into the picture, by one stop of Tab, and about in it by arrows.
    const focused = () => page.evaluate('document.activeElement.getAttribute("data-state")');
    for (let stop = 0; stop < 20 && (await focused()) === null; stop++) await page.keyboard.press('Tab');
    expect(await focused()).toBe('Begin');
    await page.keyboard.press('ArrowDown');
    expect(await focused()).toBe('Plan');
    await page.locator('.chosen', { hasText: 'Resolve release, worker image and names' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'List' }).focus();
    await page.keyboard.press('Enter');
    await panel('States')
      .getByRole('row', { name: /^Plan .*succeeded/ })
      .waitFor();

    await page.keyboard.press('?');
    const help = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
    await help.waitFor();
    await page.keyboard.press('Escape');
    await help.waitFor({ state: 'detached' });
    // Letters are letters where one types.
    await page.keyboard.press('n');
    await recipeField().focus();
    await page.keyboard.type('?gb');
    expect(await recipeField().inputValue()).toBe('?gb');
    // The browser's own ways back and forth.
    await page.goBack();
    await page.waitForURL(`**/builds/${first}`);
  }, 120_000);

  it('shows hostile names as the text that they are', async () => {
    const hostile = '<img src=x onerror="window.hostile=1">';
    const javascript = 'javascript:alert(1)';
    await page.route('**/api/builds?*', (route) =>
      route.fulfill({
        json: {
          builds: [
            {
              id: hostile,
              recipe: hostile,
              status: 'FAILED',
              startedAt: '2026-01-01T00:00:00Z',
              endedAt: null,
              seconds: 1,
              state: hostile,
            },
          ],
          nextToken: null,
        },
      }),
    );
    const good = await ended(await start({ name: 'hostile' }));
    await page.route(`**/api/builds/${good.id}`, (route) =>
      route.fulfill({
        json: {
          ...good,
          recipe: hostile,
          status: 'FAILED',
          warnings: [hostile],
          states: [{ ...good.states[0], name: hostile }],
          stages: [{ ...good.stages[0], name: hostile }],
          resources: [
            { kind: 'instance', role: hostile, id: hostile, region: 'us-east-1', link: javascript },
          ],
          failure: {
            code: hostile,
            message: hostile,
            decisive: [hostile],
            runbook: javascript,
            evidence: [hostile],
            kept: [hostile],
            resumable: true,
          },
          links: { execution: javascript, artifacts: javascript },
        },
      }),
    );
    await page.route(`**/api/builds/${good.id}/log*`, (route) =>
      route.fulfill({
        json: {
          id: good.id,
          source: 'worker',
          sources: ['worker', hostile],
          text: `\u001b[31m${hostile}\u001b[0m\n`,
          complete: true,
        },
      }),
    );
    await page.goto(at('/'));
    await page.getByRole('link', { name: hostile }).waitFor();
    await page.goto(at(`/builds/${good.id}`));
    await page.locator('.terminal .decisive', { hasText: hostile }).waitFor();
    await page.getByRole('region', { name: `Failed: ${hostile}` }).waitFor();
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.locator('a[href^="javascript"]').count()).toBe(0);
    expect(await page.evaluate('window.hostile')).toBeUndefined();
  }, 120_000);

  it('asks nobody but itself, and says so when nobody answers', async () => {
    const asked = new Set<string>();
    page.on('request', (request) => asked.add(new URL(request.url()).origin));
    for (const path of ['/', '/images', '/releases', '/runbook', '/runbook/InvalidRecipe', '/start']) {
      await page.goto(at(path));
      await page.getByRole('heading', { level: 1 }).waitFor();
    }
    expect([...asked]).toEqual([new URL(server.address).origin]);
    await page.goto(at('/'));
    await page.getByRole('table').waitFor();
    await page.route('**/api/**', (route) => route.abort());
    await page.getByRole('button', { name: 'Refresh' }).click();
    await page.getByText('No answer; trying again').waitFor();
    // What was there stays.
    expect(await page.getByRole('table').count()).toBe(1);
    complaints.splice(0, complaints.length, ...complaints.filter((one) => !one.includes('ERR_FAILED')));
  }, 120_000);

  it('waits for what has just been started, and goes on when an answer was cut off', async () => {
    const good = await ended(await start({ name: 'early' }));
    const refused = page.waitForResponse('**/api/builds/nobody');
    await page.goto(at('/builds/nobody'));
    const unknown = await (await refused).text();
    const answers = [
      // DescribeExecution is eventually consistent: the first looks may not find it.
      { status: 404, contentType: 'application/problem+json', body: unknown },
      { status: 200, contentType: 'application/json', body: '{"id":' },
    ];
    await page.route(`**/api/builds/${good.id}`, (route) => {
      const next = answers.shift();
      return next === undefined ? route.continue() : route.fulfill(next);
    });
    const cut = page.getByText('The answer was cut off.');
    const statuses: number[] = [];
    page.on('response', (response) => {
      if (response.url().endsWith(`/api/builds/${good.id}`)) statuses.push(response.status());
    });
    await page.goto(at(`/builds/${good.id}`));
    await cut.waitFor();
    await badge('Succeeded').waitFor();
    expect(statuses).toEqual([404, 200, 200]);
  }, 120_000);

  it('counts the seconds of a worker’s phase that it has seen begin', async () => {
    const good = await ended(await start({ name: 'counts' }));
    const stage = { name: 'worker: fetch', seconds: null, expectedSeconds: 8, bytes: null };
    let state = 'waiting';
    await page.route(`**/api/builds/${good.id}`, (route) =>
      route.fulfill({ json: { ...good, status: 'RUNNING', endedAt: null, stages: [{ ...stage, state }] } }),
    );
    await page.goto(at(`/builds/${good.id}`));
    const row = panel('Stages').getByRole('row', { name: /^worker: fetch/ });
    await row.and(page.locator('.waiting')).waitFor();
    expect(await row.getByRole('cell').nth(1).textContent()).toBe('');
    state = 'running';
    await row
      .getByRole('cell')
      .nth(1)
      .filter({ hasText: /^[2-9]\.\d s$/ })
      .waitFor();
  }, 120_000);

  it('is not opened by the key of another start', async () => {
    await page.evaluate('localStorage.setItem("foundry-console-key", "of-yesterday")');
    await page.goto(at('/'));
    await page.getByText('open the address that foundry console printed').waitFor();
    await page.goto(server.address);
    await page.getByRole('heading', { name: 'Builds' }).waitFor();
    expect(page.url()).not.toContain('key');
    await page.getByRole('table').waitFor();
  });

  describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
    it('has nothing that axe-core takes for serious', async () => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const { builds } = await api.call('list-builds', {});
      const of = (status: string) => builds.find((build) => build.status === status)?.id ?? '';
      const found: Record<string, string[]> = {};
      for (const path of [
        '/',
        '/start',
        `/builds/${of('SUCCEEDED')}`,
        `/builds/${of('FAILED')}`,
        '/images',
        '/releases',
        '/runbook/BootPanicked',
      ]) {
        await page.goto(at(path));
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page.locator('.awaited').first().waitFor({ state: 'detached' });
        found[path] = await violations();
      }
      await page.keyboard.press('?');
      await page.getByRole('dialog').waitFor();
      found.help = await violations();
      expect(Object.fromEntries(Object.entries(found).filter(([, list]) => list.length > 0))).toEqual({});
    }, 120_000);
  });

  it('fits a telephone: nothing but tables, pictures and consoles is wider than it', async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    const { builds } = await api.call('list-builds', {});
    for (const path of [
      '/',
      '/start',
      `/builds/${builds[0]?.id ?? ''}`,
      '/images',
      '/releases',
      '/runbook',
    ]) {
      await page.goto(at(path));
      await page.getByRole('heading', { level: 1 }).waitFor();
      expect(await page.evaluate('document.documentElement.scrollWidth'), path).toBeLessThanOrEqual(390);
    }
  });

  it('takes the colours that somebody picks, and keeps them', async () => {
    const scheme = () => page.evaluate('getComputedStyle(document.documentElement).colorScheme');
    await page.getByRole('button', { name: 'Colours: system' }).click();
    expect(await scheme()).toBe('light');
    await page.keyboard.press('t');
    expect(await scheme()).toBe('dark');
    await page.reload();
    expect(await scheme()).toBe('dark');
  });
});
