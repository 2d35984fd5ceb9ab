import { createPublicKey, type KeyObject } from 'node:crypto';
import * as z from 'zod/mini';
import { described } from './described.ts';
import { type ImageParts, rootFile } from './image-parts.ts';
import { address } from './mail.ts';
import { panicmailScript } from './panicmail-script.ts';
import { decoded, lines } from './recipe-values.ts';

// Reports of kernel panics, encrypted. Not the port sysutils/panicmail: it encrypts to the key of its author, which it installs
// itself, by a program of its own (security/pkesh). Here recipient and key are the recipe's, and any OpenSSL reads the report.

/** The RSA key in `pem`; undefined when there is none, or one that must not be here. */
function rsaKey(pem: string): KeyObject | undefined {
  // node:crypto takes a private key where a public one is wanted.
  if (/PRIVATE KEY/.test(pem)) return undefined;
  const key = decoded(() => createPublicKey(pem));
  return key?.asymmetricKeyType === 'rsa' ? key : undefined;
}

const publicKey = z.pipe(
  lines(20_000).check(
    z.refine((pem) => !/PRIVATE KEY/.test(pem), {
      error: 'must be the public key: this is a private one, which others may know now',
    }),
    z.refine((pem) => /PRIVATE KEY/.test(pem) || rsaKey(pem) !== undefined, {
      error: 'must be an RSA public key, or a certificate with one, in PEM',
    }),
    z.refine(
      (pem) => {
        const bits = rsaKey(pem)?.asymmetricKeyDetails?.modulusLength;
        return bits === undefined || (bits >= 2048 && bits <= 16384);
      },
      { error: 'must be a key of 2048 to 16384 bits' },
    ),
  ),
  // One form of it in the image, whatever stood around it.
  z.transform((pem: string) => createPublicKey(pem).export({ type: 'spki', format: 'pem' }).toString()),
);

/** recipe.panicmail */
export const panicmailSchema = z.strictObject({
  recipient: described(address, 'Who gets the reports.'),
  publicKey: described(
    publicKey,
    'RSA key of 2048 bits or more, or a certificate with one, in PEM: reports are encrypted to it (S/MIME).',
  ),
  autosubmit: described(
    z._default(z.boolean(), true),
    'true: a report is sent at the boot after the panic. false: root is told, reads it and sends it.',
  ),
  report: described(
    z._default(z.enum(['backtrace', 'crashinfo']), 'backtrace'),
    'backtrace: dump header, panic message, backtrace. crashinfo: also processes, memory and network of that moment.',
  ),
});

export type Panicmail = z.output<typeof panicmailSchema>;

/** What panicmail needs of the rest of a recipe and does not find; undefined when nothing is missing. */
export function panicmailNeeds(recipe: {
  readonly panicmail?: unknown;
  readonly mail?: unknown;
  readonly swap?: string | number | undefined;
  readonly ec2?: { readonly ephemeralSwap?: unknown } | undefined;
}): { path: string[]; message: string } | undefined {
  if (recipe.panicmail === undefined) return undefined;
  const problem = (message: string) => ({ path: ['panicmail'], message });
  if (recipe.mail === undefined) {
    return problem('must have mail beside it in the recipe: that is how reports leave the instance');
  }
  // growfs adds swap only to disks that are large enough at launch, and after dumpon has looked: none to count on.
  if (typeof recipe.swap !== 'number' && recipe.ec2?.ephemeralSwap !== true) {
    return problem('must have swap for the dump: a size, such as swap: 4GiB, or ec2.ephemeralSwap: true');
  }
  return undefined;
}

/** Everything that recipe.panicmail adds to an image. */
export const panicmailParts = (panicmail: Panicmail): ImageParts => ({
  // crashinfo(8) takes the backtrace with kgdb, which left the base system and is in this package.
  packages: ['gdb'],
  rcConf: [
    {
      key: 'dumpdev',
      value: 'AUTO',
      because: 'a panic dumps into the first swap of fstab, or ephemeral swap',
    },
    { key: 'savecore_enable', value: 'YES', because: 'the next boot saves the dump' },
    { key: 'savecore_flags', value: '-m 2', because: 'two dumps at most: the root file system is small' },
    { key: 'crashinfo_enable', value: 'YES', because: 'the backtrace comes from crashinfo(8)' },
    { key: 'foundry_panicmail_enable', value: 'YES', because: 'reports of panics' },
    { key: 'foundry_panicmail_to', value: panicmail.recipient, because: 'who gets reports of panics' },
    {
      key: 'foundry_panicmail_autosubmit',
      value: panicmail.autosubmit ? 'YES' : 'NO',
      because: 'whether reports are sent without asking',
    },
    { key: 'foundry_panicmail_report', value: panicmail.report, because: 'how much a report tells' },
  ],
  files: [
    rootFile(
      '/usr/local/etc/foundry/panicmail.pem',
      panicmail.publicKey,
      'reports of panics are encrypted to it',
    ),
    rootFile('/usr/local/etc/rc.d/foundry_panicmail', panicmailScript, 'sends reports of panics', '0755'),
  ],
});
