import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mailParts, mailSchema } from '../../core/mail.ts';
import { program } from '../local/judges/judges.ts';
import { layFiles } from './image-files.ts';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export interface Relay {
  readonly name: string;
  readonly port: number;
  readonly wrapper: boolean;
  /** Which authority signed its certificate: that of the system, or another. */
  readonly authority: 'system' | 'private';
  /** The name in the certificate. */
  readonly certified: string;
  readonly user: string | null;
  readonly password: string | null;
}

export interface RelayEvent {
  readonly relay?: string;
  readonly event: 'ready' | 'ehlo' | 'mail' | 'auth' | 'message';
  readonly tls?: boolean;
  readonly user?: string | null;
  readonly right?: boolean;
  readonly sender?: string;
  readonly recipients?: readonly string[];
  readonly content?: string;
}

export interface MailStage {
  readonly directory: string;
  /** Authorities made for the stage, PEM. */
  readonly authorities: Record<Relay['authority'], string>;
  /** Hands a message to sendmail(1), as a program of the instance would. */
  readonly send: (message: string, ...options: string[]) => void;
  /** What the relays have seen so far. */
  readonly events: () => RelayEvent[];
  /** Sender and recipients of what waits in the queue, with the reason. */
  readonly queue: () => { sender: string; recipients: { address: string; delay_reason?: string }[] }[];
  /** Puts a file for a `file: true` route where user-data would. */
  readonly placeCredentials: (route: string, text: string) => void;
  /** Runs rc.d/foundry_mail with this command. Answers what it printed. */
  readonly script: (command: 'start' | 'refresh') => string;
  readonly run: (command: string, ...args: string[]) => string;
  readonly close: () => void;
}

/**
 * A Postfix of this machine with the configuration of an image, and its relays, in a network namespace of their own: the ports are the
 * real ones and nothing else is in reach. Needs root.
 */
export async function startMailStage(
  mail: (authorities: MailStage['authorities']) => object,
  relays: readonly Relay[],
  hosts: readonly string[],
): Promise<MailStage> {
  const directory = mkdtempSync(join(tmpdir(), 'foundry-mail-'));
  const path = (name: string) => join(directory, name);
  const authorities = makeAuthorities(directory);
  layFiles(mailParts(mailSchema.parse(mail(authorities))), directory);
  for (const name of ['var/spool/postfix', 'var/db', 'var/run', 'etc/ssl/certs', 'etc/mail']) {
    mkdirSync(path(name), { recursive: true });
  }
  execFileSync('install', ['-d', '-o', 'postfix', path('var/db/postfix')]);
  execFileSync('install', ['-m', '0644', path('system.pem'), path('etc/ssl/certs/system.pem')]);
  execFileSync('openssl', ['rehash', path('etc/ssl/certs')], { stdio: 'ignore' });
  writeFileSync(path('etc/mail/aliases'), '', { flag: 'a' });
  // Programs of Postfix stat the directories above the queue as the user postfix.
  execFileSync('chmod', ['0755', directory]);
  execFileSync('install', ['-m', '0644', here('rc.subr'), path('etc/rc.subr')]);
  writeFileSync(path('rc.conf'), 'foundry_mail_enable="YES"\nfoundry_mail_tries=1\n');
  const addresses = hosts.map((host) => `127.0.0.1 ${host}\n`).join('');
  writeFileSync(path('hosts'), `127.0.0.1 localhost\n::1 localhost\n${addresses}`);

  const world = spawn(
    'unshare',
    [
      '--mount',
      '--net',
      '--uts',
      'sh',
      '-c',
      `ip link set lo up && hostname freebsd && mount --bind "$1" /etc/hosts && echo up && exec sleep 600`,
      'sh',
      path('hosts'),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await new Promise((resolve, reject) => {
    world.stdout.once('data', resolve);
    world.once('exit', () => reject(new Error('no namespace could be made')));
  });
  const inside = ['-t', String(world.pid), '-m', '-n', '-u', '--'];
  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    MAIL_CONFIG: path('usr/local/etc/postfix'),
    RC_CONF: path('rc.conf'),
  };
  const run = (command: string, args: readonly string[], input = ''): string => {
    const ended = spawnSync('nsenter', [...inside, command, ...args], {
      input,
      env,
      encoding: 'utf8',
      timeout: 20_000,
    });
    if (ended.status !== 0)
      throw new Error(`${command} ended with ${ended.status}: ${ended.stdout}${ended.stderr}`);
    return ended.stdout;
  };

  writeFileSync(
    path('relays.json'),
    JSON.stringify(
      relays.map((relay) => ({ ...relay, ...makeCertificate(directory, relay.authority, relay.certified) })),
    ),
  );
  const log = path('relays.log');
  writeFileSync(log, '');
  const servers = spawn(
    'nsenter',
    [...inside, program('python'), here('relays.py'), path('relays.json'), log],
    {
      stdio: ['ignore', 'inherit', 'pipe'],
    },
  );
  const events = (): RelayEvent[] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as RelayEvent);
  while (!events().some(({ event }) => event === 'ready')) {
    if (servers.exitCode !== null) throw new Error(`relays.py ended with ${servers.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const script = (command: string) =>
    run('sh', [path('usr/local/etc/rc.d/foundry_mail'), command]).replaceAll(directory, '');

  return {
    directory,
    authorities,
    events,
    script,
    run: (command, ...args) => run(command, args),
    send: (message, ...options) => void run('sendmail', ['-oi', ...options], message),
    queue: () =>
      run('postqueue', ['-j'])
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as ReturnType<MailStage['queue']>[number]),
    placeCredentials: (route, text) =>
      writeFileSync(path(`usr/local/etc/foundry/mail-credentials/${route}`), text),
    close: () => {
      spawnSync('nsenter', [...inside, 'postfix', 'stop'], { env });
      servers.kill();
      world.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** openssl-req(1): a certificate with a key of its own, good for two days. */
const newCertificate = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'.split(' ');

function makeAuthorities(directory: string): MailStage['authorities'] {
  const make = (name: string) => {
    const file = join(directory, name);
    execFileSync(
      'openssl',
      [
        ...newCertificate,
        '-subj',
        `/CN=${name} authority`,
        '-keyout',
        `${file}.key`,
        '-out',
        `${file}.pem`,
        '-addext',
        'keyUsage=critical,keyCertSign',
      ],
      { stdio: 'ignore' },
    );
    return readFileSync(`${file}.pem`, 'utf8');
  };
  return { system: make('system'), private: make('private') };
}

function makeCertificate(directory: string, authority: string, name: string) {
  const file = join(directory, `${authority}-${name}`);
  const issuer = join(directory, authority);
  execFileSync(
    'openssl',
    [
      ...newCertificate,
      '-CA',
      `${issuer}.pem`,
      '-CAkey',
      `${issuer}.key`,
      '-subj',
      `/CN=${name}`,
      '-addext',
      `subjectAltName=DNS:${name}`,
      '-addext',
      'basicConstraints=critical,CA:FALSE',
      '-keyout',
      `${file}.key`,
      '-out',
      `${file}.pem`,
    ],
    { stdio: 'ignore' },
  );
  return { certificate: `${file}.pem`, key: `${file}.key` };
}
