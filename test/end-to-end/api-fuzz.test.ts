import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Api, factoryApi } from '../../cli/api.ts';
import { type ApiFunctionName, apiFunctions } from '../../core/function-environment.ts';
import { functionNameOf } from '../../local/deploy.ts';
import { haveVenv, judge, program } from '../local/judges/judges.ts';
import { type Factory, startFactory } from './local-build.ts';

/** Tries the API as its own document describes it, by tools that are not ours. */

const root = fileURLToPath(new URL('../../', import.meta.url));
const hooks = fileURLToPath(new URL('../local/judges/', import.meta.url));
const document = join(root, 'docs/openapi.json');

/** Cases of each operation in the phase that makes them by chance; the same ones each time. */
const EXAMPLES = 5;
const SEED = '20261126';
/** Of all phases; fewer would mean that the fuzzer has not reached the API. */
const LEAST_CASES = 200;

const run = haveVenv() ? describe : describe.skip;

run('the HTTP API', () => {
  let factory: Factory;
  let api: Api;
  let fails = false;

  beforeAll(async () => {
    factory = await startFactory({
      cloud: { stub: { worker: () => (fails ? { code: 'WriteFailed' } : 'ok'), machine: () => 'hang' } },
    });
    const { endpoint: url, region, credentials } = factory.cloud;
    api = factoryApi({ url, region, credentials: () => Promise.resolve(credentials) });
  }, 60_000);
  afterAll(() => factory[Symbol.asyncDispose]());

  /** One build that succeeded, one that failed, and one that goes on until somebody stops it. */
  async function builds() {
    const start = async (name: string, bootTest: unknown) =>
      (await api.call('start-build', { body: { recipe: factory.recipe({ name, bootTest }) } })).id;
    const ended = async (id: string) => {
      while ((await api.call('show-build', { params: { id } })).status === 'RUNNING') await pause(100);
      return id;
    };
    const good = await ended(await start('good', false));
    fails = true;
    const bad = await ended(await start('bad', false));
    fails = false;
    const { images } = await api.call('list-images', {});
    return {
      id: [good, bad, await start('goes-on', {})],
      imageId: images.map(({ imageId }) => imageId),
      name: ['good'],
    };
  }

  it('is described by a document that is OpenAPI 3.1', async () => {
    const { code, output } = await judge(
      { cloud: factory.cloud, stateDirectory: factory.stateDirectory },
      program('openapi-spec-validator'),
      [document],
    );
    expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining('OK') });
    expect(await api.call('openapi-document', {})).toEqual(JSON.parse(await readFile(document, 'utf8')));
    // Python on a machine that is busy.
  }, 90_000);

  it(`has no answer that it does not describe, and no 5xx, whatever schemathesis sends`, async () => {
    const report = join(factory.stateDirectory, 'fuzz.json');
    const known = await builds();
    const { code, output } = await judge(
      { cloud: factory.cloud, stateDirectory: factory.stateDirectory },
      program('schemathesis'),
      [
        'run',
        document,
        // What has no function is the gateway's to refuse.
        ...apiFunctions.flatMap((name) => ['--include-operation-id', name]),
        '--url',
        factory.cloud.endpoint,
        '--checks',
        'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance',
        '--phases',
        'coverage,fuzzing',
        '--max-examples',
        String(EXAMPLES),
        '--seed',
        SEED,
        '--continue-on-failure',
        '--no-shrink',
        '--suppress-health-check',
        'all',
        '--warnings',
        'off',
        '--report',
        'json',
        '--report-json-path',
        report,
      ],
      {
        SCHEMATHESIS_HOOKS: 'api_fuzz_hooks',
        PYTHONPATH: hooks,
        FUZZ_KNOWN: JSON.stringify(known),
        NO_COLOR: '1',
        PYTHONDONTWRITEBYTECODE: '1',
      },
    );
    expect(code, output).toBe(0);
    const cases = Number(/(\d+) generated/.exec(output)?.[1]);
    // Those with a signature that held; each function logs them.
    const answered = await Promise.all(apiFunctions.map(statusesOf));
    const statuses = Object.entries(Object.groupBy(answered.flat(), (status) => status));
    console.log(
      `${cases} cases of schemathesis; answers of functions: ${statuses.map(([status, all]) => `${all?.length} times ${status}`).join(', ')}`,
    );
    expect(cases).toBeGreaterThan(LEAST_CASES);
    expect(answered.flat().length).toBeGreaterThan(LEAST_CASES);
    // Each was reached; with things that are there, which matrices and subscriptions are not, it did what it is for.
    expect(answered.every((one) => one.length > 0)).toBe(true);
    const worked = answered.filter((one) => one.some((status) => status < 300));
    expect(worked.length).toBeGreaterThanOrEqual(9);
  }, 180_000);

  async function statusesOf(name: ApiFunctionName): Promise<number[]> {
    const log = await readFile(join(factory.stateDirectory, `logs/${functionNameOf(name)}.log`), 'utf8');
    return [...log.matchAll(/"message":"request".*?"status":(\d+)/g)].map(([, status]) => Number(status));
  }
});
