import { X509Certificate } from 'node:crypto';
import * as z from 'zod/mini';
import { described, text } from './described.ts';
import { type FileEdit, type ImageParts, rootFile, type Setting, type SystemFile } from './image-parts.ts';
import { mailScript } from './mail-script.ts';
import { decoded, distinct, lines, oneOf } from './recipe-values.ts';

// Outgoing mail: Postfix, because only it does all of this: choose the relay by the sender, rewrite envelope and header of the
// instance's own mail (SES wants a verified From: in both), and keep mail while there are no credentials. OpenSMTPD chooses by
// sender, but leaves the header as it is; dma(8) of the base system has one relay. The package is postfix-sasl: the plain one is
// built without Cyrus SASL, which is what authenticates to a relay (ports, mail/postfix, FLAVORS and OPTIONS_DEFAULT).

const PACKAGES = ['postfix-sasl', 'curl'];

const configuration = '/usr/local/etc/postfix';
const sendersMap = `${configuration}/foundry-senders`;
const routesFile = '/usr/local/etc/foundry/mail-routes';
const placedCredentials = '/usr/local/etc/foundry/mail-credentials';
/** Written at boot only: /var/run is emptied at every boot, so nothing there is older than the boot. */
const passwordMaps = '/var/run/foundry-mail';

const label = '[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';
const domain = `(?=[^@]{1,253}$)${label}(\\.${label})+`;

/**
 * Of RFC 5321 a local part may have more, but Postfix routes by %, !, and $ begins a variable of main.cf: what needs no quotes and means
 * nothing anywhere is left.
 */
const localPart = '[A-Za-z0-9_+=-]{1,64}(\\.[A-Za-z0-9_+=-]{1,64}){0,9}';

/** An address that needs no quotes anywhere. */
export const address = text(
  new RegExp(`^(?!-)(?=[^@]{1,64}@)${localPart}@${domain}$`),
  'must be an address such as noreply@example.org, its local part of letters, digits and . _ + = -',
);

const sender = text(
  new RegExp(`^((?!-)(?=[^@]{1,64}@)${localPart})?@${domain}$`),
  'must be an address such as billing@example.org, or a whole domain such as @example.org',
);

const host = text(
  new RegExp(`^(?!.*\\.\\d+$)${domain}$`),
  'must be the host name that the certificate of the relay is for, such as smtp.example.org',
);

const region = text(/^[a-z]{2}(-[a-z]{1,8}){1,3}-\d{1,2}$/, 'must be an AWS region such as eu-west-1');

const port = z.int({ error: 'must be a whole number' }).check(
  z.gte(1, { error: 'must be 1 to 65535' }),
  z.lte(65535, { error: 'must be 1 to 65535' }),
  z.refine((number) => number !== 25, {
    error: 'must not be 25: EC2 blocks it outward. Relays take mail on 587 (starttls) or 465 (wrapper)',
  }),
);

const certificate = lines(20_000).check(
  z.refine((pem) => decoded(() => new X509Certificate(pem))?.ca === true, {
    error: 'must be the certificate of an authority (CA) in PEM',
    when: ({ issues }) => issues.length === 0,
  }),
);

const only = z.optional(z.literal(true, { error: 'must be true, or be left out' }));

const credentials = z
  .strictObject({
    ssm: described(
      z.optional(
        text(
          /^(arn:aws[a-z-]*:ssm:[a-z0-9-]+:\d{12}:parameter)?\/?[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+){0,15}(:[A-Za-z0-9_.-]{1,100})?$/,
          'must be the name of a parameter, such as /mail/relay',
        ).check(z.maxLength(1011, { error: 'must be at most 1011 characters' })),
      ),
      'Name of an SSM parameter, best a SecureString, whose value is user:password.',
    ),
    secret: described(
      z.optional(
        text(
          /^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}$/,
          'must be the name or ARN of a secret of Secrets Manager',
        ),
      ),
      'Or a secret of Secrets Manager: user:password, or JSON with username and password.',
    ),
    region: described(
      z.optional(region),
      'Where parameter or secret is. Default: that of an ARN, else that of the instance.',
    ),
    file: described(
      only,
      `Or true: the instance's user-data puts user:password into ${placedCredentials}/<name of the route>.`,
    ),
    none: described(
      only,
      'Or true: the relay takes mail without a password, because of where it comes from.',
    ),
  })
  .check(
    oneOf('ssm', 'secret', 'file', 'none'),
    z.refine((given) => given.region === undefined || given.ssm !== undefined || given.secret !== undefined, {
      path: ['region'],
      error: 'must be there only with ssm or secret',
    }),
  );

const routeShape = {
  host: described(z.optional(host), 'The relay, by the name in its certificate.'),
  ses: described(z.optional(region), 'Or SES in this region: the host is email-smtp.<region>.amazonaws.com.'),
  port: described(z.optional(port), 'Default: 587 with starttls, 465 with wrapper.'),
  tls: described(
    z._default(z.enum(['starttls', 'wrapper']), 'starttls'),
    'How TLS begins. Either way there is no mail and no password without it, nor to a wrong certificate.',
  ),
  caCertificate: described(
    z.optional(certificate),
    'A private authority (PEM): then it alone is trusted for this relay. Default: the authorities of FreeBSD.',
  ),
  credentials: described(credentials, 'User name and password, never in the image: from where at boot.'),
};

/** Ports of the SES SMTP interface (SES Developer Guide, "Connecting to an SES SMTP endpoint"), without 25. */
const sesPorts = { starttls: [587, 2587], wrapper: [465, 2465] };

interface RouteTarget {
  readonly host?: string | undefined;
  readonly ses?: string | undefined;
  readonly port?: number | undefined;
  readonly tls: 'starttls' | 'wrapper';
}

const routeRules = [
  oneOf<RouteTarget & Record<string, unknown>>('host', 'ses'),
  z.refine<RouteTarget>(
    (given) =>
      given.ses === undefined || given.port === undefined || sesPorts[given.tls].includes(given.port),
    { path: ['port'], error: 'must be 587 or 2587 with starttls, 465 or 2465 with wrapper, as SES has it' },
  ),
] as const;

const namedRoute = z
  .strictObject({
    senders: described(
      distinct(sender, 500).check(z.minLength(1, { error: 'must not be empty' })),
      'Whose mail goes this way: addresses, or whole domains such as @example.org. An address wins over a domain.',
    ),
    ...routeShape,
  })
  .check(...routeRules);

/** recipe.mail */
export const mailSchema = z.strictObject({
  relay: described(
    z.strictObject(routeShape).check(...routeRules),
    'Where mail goes that no other route takes.',
  ),
  routes: described(
    z._default(
      z.record(z.string(), namedRoute).check(
        z.refine((all) => Object.keys(all).length <= 20, { error: 'must have at most 20 entries' }),
        z.refine((all) => Object.keys(all).every((name) => /^[a-z][a-z0-9]{0,15}$/.test(name)), {
          error: 'must have names of 1 to 16 small letters and digits, a letter first',
        }),
        z.refine((all) => !Object.hasOwn(all, 'relay'), {
          error: 'must not have one called relay: that is the one for everything else',
        }),
        z.refine(
          (all) => {
            const senders = Object.values(all).flatMap((route) =>
              // What is not a list is told already.
              Array.isArray(route?.senders) ? route.senders.map((one) => String(one).toLowerCase()) : [],
            );
            return new Set(senders).size === senders.length;
          },
          { error: 'must not have a sender twice' },
        ),
      ),
      {},
    ),
    'Further relays by name, chosen by the sender of a message.',
  ),
  localSender: described(
    address,
    "The sender of the instance's own mail, in envelope and header: root@<host>, cron and panicmail leave as this.",
  ),
  rootAlias: described(z.optional(address), "Who gets root's mail. Default: it stays in /var/mail/root."),
  messageSize: described(
    z._default(
      z
        .int({ error: 'must be a whole number of MiB' })
        .check(
          z.gte(1, { error: 'must be at least 1 MiB' }),
          z.lte(100, { error: 'must be at most 100 MiB' }),
        ),
      40,
    ),
    'Largest message in MiB as it is sent. Default: 40, what SES takes.',
  ),
});

export type Mail = z.output<typeof mailSchema>;
type Route = Mail['relay'];

const hostOf = (route: RouteTarget): string =>
  route.host ?? `email-smtp.${route.ses}.amazonaws.com${route.ses?.startsWith('cn-') ? '.cn' : ''}`;
const portOf = (route: RouteTarget): number => route.port ?? (route.tls === 'wrapper' ? 465 : 587);
/** In brackets: the host itself, not the MX of a domain of that name. */
const nextHop = (route: RouteTarget): string => `[${hostOf(route)}]:${portOf(route)}`;

/** What is wrong between mail and the rest of a recipe; undefined when nothing is. */
export function mailProblem(recipe: {
  readonly mail?: Mail | undefined;
  readonly hostname: string;
}): { path: string[]; message: string } | undefined {
  const { mail, hostname } = recipe;
  const at = `@${hostname.toLowerCase()}`;
  for (const field of ['rootAlias', 'localSender'] as const) {
    if (mail?.[field]?.toLowerCase().endsWith(at)) {
      return {
        path: ['mail', field],
        message: `must not be at ${hostname}: that is the instance itself, so the mail would stay there`,
      };
    }
  }
  return undefined;
}

/** In one order, however the recipe has them: equal recipes are equal images. */
const routesOf = (mail: Mail): [string, Route & { senders?: string[] }][] => [
  ['relay', mail.relay],
  ...Object.entries(mail.routes).sort(([a], [b]) => (a < b ? -1 : 1)),
];

const authority = (name: string): string => `${configuration}/foundry-ca-${name}.pem`;

/** postconf(5). Whatever a recipe can say in here has neither blank nor $ nor { in it. */
const mainCf = (mail: Mail): string => `# Made by ami-foundry from recipe.mail; postconf(5) explains each.
compatibility_level = 3.6

# On the root volume: mail that waits outlives a reboot.
queue_directory = /var/spool/postfix
data_directory = /var/db/postfix

# For the instance alone.
inet_interfaces = loopback-only
mynetworks = 127.0.0.0/8, [::1]/128
smtpd_relay_restrictions = permit_mynetworks, reject
message_size_limit = ${mail.messageSize * 1024 ** 2}
mailbox_size_limit = 0

# A host name without a dot becomes $myhostname, so that the instance knows its own mail.
append_dot_mydomain = yes
mydestination = $myhostname, localhost.$mydomain, localhost
alias_maps = hash:/etc/mail/aliases
alias_database = hash:/etc/mail/aliases

# The instance's own senders exist nowhere else: relays refuse them.
sender_canonical_maps = inline:{ ${['$myhostname', 'localhost.$mydomain', 'localhost']
  .map((name) => `{ @${name} = ${mail.localSender} }`)
  .join(', ')} }

# master.cf has a transport for each route and none besides, so mail leaves by a route or not at all. An own transport, not
# a sender-dependent password: the password of a domain could go to the relay of one of its addresses.
default_transport = route_relay:${nextHop(mail.relay)}
${Object.keys(mail.routes).length === 0 ? '' : `sender_dependent_default_transport_maps = texthash:${sendersMap}\n`}
# Host names as the system knows them, /etc/hosts included; a relay is a host, never an MX.
smtp_host_lookup = native

# No TLS, a wrong name or an unknown authority: the mail waits.
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = nexthop
smtp_tls_mandatory_protocols = >=TLSv1.2
smtp_tls_CApath = /etc/ssl/certs
smtp_tls_loglevel = 1

# PLAIN and LOGIN are what relays offer; the line above keeps them from ears.
smtp_sasl_security_options = noanonymous
smtp_sasl_tls_security_options = noanonymous
`;

/** master(5): the daemons that take, keep and deliver mail, none of them in a chroot, as the port has it. */
const daemons = `smtp       inet  n  -  n  -     -  smtpd
pickup     unix  n  -  n  60    1  pickup
cleanup    unix  n  -  n  -     0  cleanup
qmgr       unix  n  -  n  300   1  qmgr
tlsmgr     unix  -  -  n  1000? 1  tlsmgr
rewrite    unix  -  -  n  -     -  trivial-rewrite
bounce     unix  -  -  n  -     0  bounce
defer      unix  -  -  n  -     0  bounce
trace      unix  -  -  n  -     0  bounce
verify     unix  -  -  n  -     1  verify
flush      unix  n  -  n  1000? 0  flush
proxymap   unix  -  -  n  -     -  proxymap
proxywrite unix  -  -  n  -     1  proxymap
showq      unix  n  -  n  -     -  showq
error      unix  -  -  n  -     -  error
retry      unix  -  -  n  -     -  error
discard    unix  -  -  n  -     -  discard
local      unix  -  n  n  -     -  local
anvil      unix  -  -  n  -     1  anvil
scache     unix  -  -  n  -     1  scache
postlog    unix-dgram n - n -    1  postlogd
`;

function masterCf(mail: Mail): string {
  const transports = routesOf(mail).map(([name, route]) => {
    const options = [`syslog_name=postfix/${name}`];
    if (route.tls === 'wrapper') options.push('smtp_tls_wrappermode=yes');
    if (route.credentials.none !== true) {
      // A map that is not there yet is a temporary error: the mail waits, and is never tried without a password.
      options.push('smtp_sasl_auth_enable=yes', `smtp_sasl_password_maps=texthash:${passwordMaps}/${name}`);
    }
    if (route.caCertificate !== undefined) {
      options.push(`smtp_tls_CAfile=${authority(name)}`, 'smtp_tls_CApath=');
    }
    return `route_${name} unix - - n - - smtp\n${options.map((option) => `  -o ${option}\n`).join('')}`;
  });
  return `# Made by ami-foundry from recipe.mail; master(5) explains the columns.\n${daemons}${transports.join('')}`;
}

const senders = (mail: Mail): string =>
  routesOf(mail)
    .flatMap(([name, route]) =>
      (route.senders ?? []).map((one) => `${one} route_${name}:${nextHop(route)}\n`),
    )
    .join('');

/** What foundry_mail reads: route, next hop, kind, name and region, blank-separated; - stands for none. */
function credentialLines(mail: Mail): string {
  return routesOf(mail)
    .map(([name, route]) => {
      const { ssm, secret, file } = route.credentials;
      const where = ssm ?? secret ?? '-';
      const kind = ssm !== undefined ? 'ssm' : secret !== undefined ? 'secret' : file ? 'file' : undefined;
      const [, , , arnRegion] = where.split(':');
      const at = route.credentials.region ?? (where.startsWith('arn:') ? arnRegion : undefined) ?? '-';
      return kind === undefined ? '' : `${name} ${nextHop(route)} ${kind} ${where} ${at}\n`;
    })
    .join('');
}

function systemFiles(mail: Mail): SystemFile[] {
  const sendmail = ['sendmail', 'send-mail', 'mailq', 'newaliases'];
  return [
    rootFile(`${configuration}/main.cf`, mainCf(mail), 'outgoing mail'),
    rootFile(`${configuration}/master.cf`, masterCf(mail), 'a transport for each relay'),
    ...(Object.keys(mail.routes).length === 0
      ? []
      : [rootFile(sendersMap, senders(mail), 'which sender goes to which relay')]),
    ...routesOf(mail).flatMap(([name, { caCertificate }]) =>
      caCertificate === undefined
        ? []
        : [rootFile(authority(name), caCertificate, `the only authority trusted for ${name}`)],
    ),
    // mailwrapper(8) prefers it to /etc/mail/mailer.conf, which belongs to the base system.
    rootFile(
      '/usr/local/etc/mail/mailer.conf',
      sendmail.map((name) => `${name}\t/usr/local/sbin/sendmail\n`).join(''),
      'sendmail(8) is that of Postfix',
    ),
    rootFile(routesFile, credentialLines(mail), 'where credentials come from at boot'),
    rootFile(
      `${placedCredentials}/README`,
      'A file called like a route, with one line user:password, put here by user-data (0600).\n',
      'so that the directory is there',
    ),
    rootFile('/usr/local/etc/rc.d/foundry_mail', mailScript, 'fetches credentials at every boot', '0755'),
    rootFile(
      '/etc/cron.d/foundry-mail',
      // Spread over five minutes: a fleet must not ask all at once. A % would mean a new line to cron.
      'PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin\n' +
        '*/15 * * * * root sleep $(jot -r 1 0 300); service foundry_mail refresh\n',
      'credentials that come late or change',
    ),
  ];
}

const settings: Setting[] = [
  { key: 'postfix_enable', value: 'YES', because: 'outgoing mail' },
  { key: 'foundry_mail_enable', value: 'YES', because: 'credentials of outgoing mail' },
  // The four that rc.conf(5) names; NONE in the first alone is deprecated.
  ...[
    'sendmail_enable',
    'sendmail_submit_enable',
    'sendmail_outbound_enable',
    'sendmail_msp_queue_enable',
  ].map((key) => ({ key, value: 'NO', because: 'Postfix takes its place' })),
];

const edits = ({ rootAlias }: Mail): FileEdit[] => [
  {
    path: '/etc/periodic.conf',
    comment: '',
    first: '',
    // What the port's message asks for: these look into sendmail's own directories.
    last: [
      'daily_clean_hoststat_enable',
      'daily_status_mail_rejects_enable',
      'daily_status_include_submit_mailq',
      'daily_submit_queuerun',
    ]
      .map((key) => `${key}="NO"\n`)
      .join(''),
    because: 'periodic jobs of sendmail',
  },
  ...(rootAlias === undefined
    ? []
    : [
        {
          path: '/etc/mail/aliases',
          comment: 'root:',
          first: '',
          last: `root: ${rootAlias}\n`,
          because: "who gets root's mail",
        },
      ]),
];

/** Everything that recipe.mail adds to an image. */
export const mailParts = (mail: Mail): ImageParts => ({
  packages: PACKAGES,
  rcConf: settings,
  files: systemFiles(mail),
  edits: edits(mail),
});
