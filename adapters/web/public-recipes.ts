import { lookup as systemLookup } from 'node:dns';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { FactoryError } from '../../core/errors.ts';

/** A recipe with files in it has some kilobytes; what Step Functions takes is the most that could be built. The time leaves 20 of API Gateway's 30 s. */
const usualLimits = { bytes: 256 * 1024, milliseconds: 8_000 };

interface Options {
  readonly limits?: typeof usualLimits;
  /** Finds the addresses of a host. */
  readonly lookup?: LookupFunction;
  /** A certificate authority beside those of the system. */
  readonly ca?: string;
  readonly isPublic?: (address: string) => boolean;
}

/**
 * Fetches the recipe behind a URL that a caller names. The function stands where no caller does, so it goes to public addresses only, and
 * the address that was judged is the one that it connects to; a redirect could name another, so none is followed.
 */
export const publicRecipes =
  ({
    limits = usualLimits,
    lookup = systemLookup as LookupFunction,
    ca,
    isPublic = isPublicAddress,
  }: Options = {}) =>
  async (text: string): Promise<string> => {
    const failed = (reason: string, cause?: unknown) =>
      new FactoryError(
        'RecipeUnavailable',
        {
          message: `the recipe at ${shown(text)} ${reason}`,
          remedy:
            'give an https URL on the public internet that answers with the YAML, or send the recipe itself.',
        },
        { cause },
      );
    if (!URL.canParse(text)) throw failed('has no proper URL');
    const url = new URL(text);
    if (url.protocol !== 'https:') throw failed('is not behind https');
    if (url.username !== '' || url.password !== '') throw failed('has a user in its URL');
    const literal = url.hostname.replace(/^\[|\]$/g, '');
    const elsewhere = 'is not on the public internet: its address is private, local or reserved';
    // Nobody looks up what is an address already.
    if (isIP(literal) !== 0 && !isPublic(literal)) throw failed(elsewhere);

    const judged: LookupFunction = (host, options, done) =>
      lookup(host, { ...options, all: true }, (error, found) => {
        const addresses = Array.isArray(found) ? found : [];
        const [first] = addresses;
        if (error || first === undefined) return done(error ?? new Error('it has no address'), '', 0);
        if (!addresses.every(({ address }) => isPublic(address))) return done(failed(elsewhere), '', 0);
        return options.all ? done(null, addresses) : done(null, first.address, first.family);
      });

    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const asked = request(
      url,
      {
        lookup: judged,
        ...(ca === undefined ? {} : { ca }),
        agent: false,
        headers: {
          accept: 'application/yaml, text/plain, application/json, */*',
          'user-agent': 'ami-foundry',
        },
        signal: AbortSignal.timeout(limits.milliseconds),
      },
      (response) => {
        const { statusCode = 0 } = response;
        if (statusCode >= 300 && statusCode < 400) reject(failed('is a redirect, which is not followed'));
        else if (statusCode !== 200) reject(failed(`cannot be had: the server answers ${statusCode}`));
        else
          textUpTo(limits.bytes, response).then((body) => {
            if (body === undefined)
              reject(failed(`has more than ${limits.bytes} bytes, or is no text in UTF-8`));
            else resolve(body);
          }, reject);
        if (statusCode !== 200) response.destroy();
      },
    );
    asked.on('error', reject);
    asked.end();
    try {
      return await promise;
    } catch (error) {
      if (error instanceof FactoryError) throw error;
      if (!(error instanceof Error)) throw error;
      throw failed(
        error.name === 'AbortError' || error.name === 'TimeoutError'
          ? `did not come within ${limits.milliseconds / 1000} s`
          : `cannot be had: ${error.message}`,
        error,
      );
    } finally {
      asked.destroy();
    }
  };

/** Undefined when it is longer, or no UTF-8. */
async function textUpTo(bytes: number, response: IncomingMessage): Promise<string | undefined> {
  const pieces: Buffer[] = [];
  let read = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    read += piece.length;
    if (read > bytes) return undefined;
    pieces.push(piece);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** What stands before the host or after the path may be a secret. */
const shown = (text: string): string =>
  text
    .replace(/\/\/[^/@]*@/, '//…@')
    .replace(/[?#].*$/s, '?…')
    .slice(0, 200);

/** IANA's special-purpose registries (RFC 6890 and its updates), multicast, and the ways IPv6 has to name an IPv4 address. */
const special = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  special.addSubnet(network, bits, 'ipv4');
}

/** All that is global unicast on the internet of today lies in 2000::/3. */
const global = new BlockList();
global.addSubnet('2000::', 3, 'ipv6');
const specialIpv6 = new BlockList();
for (const [network, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const) {
  specialIpv6.addSubnet(network, bits, 'ipv6');
}

function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !special.check(address, 'ipv4');
  return isIP(address) === 6 && global.check(address, 'ipv6') && !specialIpv6.check(address, 'ipv6');
}
