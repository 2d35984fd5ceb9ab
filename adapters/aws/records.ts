import type { Records } from '../../core/ports.ts';
import { s3Bucket } from './artifacts.ts';

/** What the factory writes into the artifacts bucket to read it again. */
export function s3Records(environment: NodeJS.ProcessEnv, bucket: string): Records {
  const { request, urlOf } = s3Bucket(environment, bucket);
  return {
    async put(key, text) {
      await request('PutObject', key, urlOf(key), {
        method: 'PUT',
        body: text,
        headers: { 'content-type': 'application/json' },
      });
    },

    get: async (key) => await request('GetObject', key, urlOf(key), {}),

    async list(prefix) {
      const keys: string[] = [];
      for (let token: string | undefined; ; ) {
        const url = urlOf('');
        url.searchParams.set('list-type', '2');
        url.searchParams.set('prefix', prefix);
        if (token !== undefined) url.searchParams.set('continuation-token', token);
        const text = await request('ListObjectsV2', `${prefix}*`, url, {});
        keys.push(...[...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) => unescaped(key)));
        token = /<NextContinuationToken>([^<]+)</.exec(text)?.[1];
        if (token === undefined) return keys;
      }
    },

    // DeleteObject answers alike whether there was one or not.
    async delete(key) {
      await request('DeleteObject', key, urlOf(key), { method: 'DELETE' });
    },
  };
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** XML 1.0, section 4.6: the five entities that every reader knows; S3 writes others by their number. */
const unescaped = (text: string): string =>
  text.replaceAll(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, decimal, hex, name: string) => {
    if (decimal) return String.fromCodePoint(Number(decimal));
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    return entities[name] ?? whole;
  });
