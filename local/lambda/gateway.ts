import net from 'node:net';

/**
 * Makes `fetch` reach this host under the address by which machines reach it too, so that one URL, and the signature over its host,
 * serves both: a function signs it, a machine asks for it. There is no other way to such a URL: 127.0.0.1 and every name of
 * it is the machine itself there, no address but those of 127.0.0.0/8 can be had here without root, and one of the
 * host's own network would open the cloud to that network. undici connects by net.connect with the host as an option.
 */
export function reachHostAs(address: string): void {
  const { connect } = net;
  net.connect = ((options: unknown, ...more: never[]) => {
    const there = typeof options === 'object' && options !== null && 'host' in options;
    const here = there && options.host === address ? { ...options, host: '127.0.0.1' } : options;
    return connect(here as never, ...more);
  }) as typeof connect;
}
