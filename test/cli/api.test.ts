import { expect, test } from 'vitest';
import { factoryApi } from '../../cli/api.ts';
import { fakeApi } from './fake-api.ts';

/** The API as clients of it ask: what is asked again after which answer. */
const asking = async (method: string, statuses: readonly number[]) => {
  await using answers = await fakeApi((_asked, count) => ({ status: statuses[count - 1] ?? 200, body: {} }));
  const credentials = async () => ({ accessKeyId: 'local', secretAccessKey: 'local' });
  const { status } = await factoryApi({ url: answers.url, region: 'us-east-1', credentials }).send(
    method,
    '/x',
  );
  return { status, asked: answers.asked.length };
};

test.each(['GET', 'PUT', 'DELETE'])('%s is asked again after an error of the server', async (method) => {
  expect(await asking(method, [503, 429, 500])).toEqual({ status: 200, asked: 4 });
});

test('POST only after what was never begun: it may have changed something before it failed', async () => {
  expect(await asking('POST', [503])).toEqual({ status: 503, asked: 1 });
  expect(await asking('POST', [429, 429])).toEqual({ status: 200, asked: 3 });
  expect(await asking('POST', [429, 429, 429, 429, 429, 429])).toEqual({ status: 429, asked: 5 });
});
