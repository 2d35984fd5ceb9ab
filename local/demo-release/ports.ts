/**
 * Stand-ins for the ports that the factory's recipes name. Names, origins, accounts, places of files and the kinds of their scripts are
 * those of FreeBSD's packages; contents are a line that says what they are.
 */
import type { DemoPackage, PackageEntry } from './package-archive.ts';

const NOTICE = 'part of the ami-foundry demo release, a stand-in. This is not FreeBSD.';
const LOCAL = '/usr/local';

function text(
  path: string,
  more = '',
  facts: { mode?: number; owner?: string; group?: string } = {},
): PackageEntry {
  return { kind: 'file', path: `${LOCAL}/${path}`, content: `# ${path}: ${NOTICE}\n${more}`, ...facts };
}

function program(path: string, mode = 0o755): PackageEntry {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return {
    kind: 'file',
    path: `${LOCAL}/${path}`,
    content: `#!/bin/sh\n# ${path}: ${NOTICE}\necho "demo release: ${name} would run here"\n`,
    mode,
  };
}

/** A script of rc.d(8). */
function service(name: string, firstBoot = false): PackageEntry {
  const keyword = firstBoot ? '# KEYWORD: firstboot\n' : '';
  const path = `etc/rc.d/${name}`;
  return {
    kind: 'file',
    path: `${LOCAL}/${path}`,
    content:
      `#!/bin/sh\n# ${path}: ${NOTICE}\n# PROVIDE: ${name}\n# REQUIRE: NETWORKING\n${keyword}. /etc/rc.subr\n` +
      `name="${name}"\nrcvar="${name}_enable"\nstart_cmd="echo demo release: ${name} would start here"\n` +
      `load_rc_config "$name"\n: "\${${name}_enable:=NO}"\nrun_rc_command "$1"\n`,
    mode: 0o555,
  };
}

/** The ports framework's `@sample`: FILE.sample is copied to FILE, or FILE to TARGET, if that is not there. */
function sample(file: string, target?: string): string {
  return [
    `-- args: ${file}${target === undefined ? '' : ` ${target}`}`,
    'sample_file = pkg.prefixed_path(arg[1])',
    'if arg[2] == nil then',
    '  target_file = string.gsub(sample_file, "%.sample$", "")',
    'else',
    '  target_file = pkg.prefixed_path(arg[2])',
    'end',
    'if not pkg.stat(target_file) then',
    '  pkg.copy(sample_file, target_file)',
    'end',
    '',
  ].join('\n');
}

interface Account {
  readonly name: string;
  readonly id: number;
  readonly comment: string;
  readonly home: string;
}

/** What the framework makes of USERS and GROUPS in a port: the accounts are made unless they are there. */
function accounts(
  groups: readonly (readonly [string, number])[],
  users: readonly Account[],
  memberships: readonly (readonly [string, string])[] = [],
): string {
  return [
    `if [ -n "\${PKG_ROOTDIR}" ] && [ "\${PKG_ROOTDIR}" != "/" ]; then`,
    `  PW="/usr/sbin/pw -R \${PKG_ROOTDIR}"`,
    'else',
    '  PW=/usr/sbin/pw',
    'fi',
    'echo "===> Creating groups"',
    ...groups.flatMap(([name, gid]) => [
      `if ! \${PW} groupshow ${name} >/dev/null 2>&1; then`,
      `  echo "Creating group '${name}' with gid '${gid}'"`,
      `  \${PW} groupadd ${name} -g ${gid}`,
      'else',
      `  echo "Using existing group '${name}'"`,
      'fi',
    ]),
    'echo "===> Creating users"',
    ...users.flatMap(({ name, id, comment, home }) => [
      `if ! \${PW} usershow ${name} >/dev/null 2>&1; then`,
      `  echo "Creating user '${name}' with uid '${id}'"`,
      `  \${PW} useradd ${name} -u ${id} -g ${id}  -c "${comment}" -d ${home} -s /usr/sbin/nologin`,
      'else',
      `  echo "Using existing user '${name}'"`,
      'fi',
    ]),
    ...memberships.flatMap(([group, user]) => [
      `if ! \${PW} groupshow ${group} | grep -qw ${user}; then`,
      `  echo "Adding user '${user}' to group '${group}'"`,
      `  \${PW} groupmod ${group} -m ${user}`,
      'fi',
    ]),
    '',
  ].join('\n');
}

const wwwAccount = accounts(
  [['www', 80]],
  [{ name: 'www', id: 80, comment: 'World Wide Web Owner', home: '/nonexistent' }],
);
const postfixAccount = accounts(
  [
    ['mail', 6],
    ['maildrop', 126],
    ['postfix', 125],
  ],
  [{ name: 'postfix', id: 125, comment: 'Postfix Mail System', home: '/var/spool/postfix' }],
  [['mail', 'postfix']],
);

function postfix(name: string, flavor: string, dependencies: readonly string[]): DemoPackage {
  const queue = (directory: string, owner: string, group: string, mode: number): PackageEntry => ({
    kind: 'directory',
    path: `/var/spool/postfix${directory}`,
    owner,
    group,
    mode,
  });
  return {
    name,
    version: '3.10.2,1',
    origin: 'mail/postfix',
    comment: 'Secure alternative to widely-used Sendmail',
    licenses: ['EPL', 'IPL10'],
    annotations: { flavor },
    dependencies,
    conflicts: [name === 'postfix' ? 'postfix-sasl' : 'postfix'],
    users: ['postfix'],
    groups: ['mail', 'maildrop', 'postfix'],
    scripts: { 'pre-install': postfixAccount },
    luaScripts: {
      'post-install': [sample('etc/postfix/main.cf.sample'), sample('etc/postfix/master.cf.sample')],
    },
    entries: [
      text(
        'etc/postfix/main.cf.sample',
        'compatibility_level = 3.10\nmail_owner = postfix\nsetgid_group = maildrop\n',
      ),
      text('etc/postfix/master.cf.sample', 'smtp      inet  n       -       n       -       -       smtpd\n'),
      service('postfix'),
      ...['postalias', 'postconf', 'postfix', 'postlog', 'postmap', 'postsuper', 'sendmail'].map((one) =>
        program(`sbin/${one}`),
      ),
      ...['postdrop', 'postqueue'].map((one) => ({ ...program(`sbin/${one}`, 0o2755), group: 'maildrop' })),
      text(
        'share/postfix/mailer.conf.postfix',
        'sendmail\t/usr/local/sbin/sendmail\nmailq\t\t/usr/local/sbin/sendmail\n',
      ),
      { kind: 'directory', path: '/var/db/postfix', owner: 'postfix', group: 'postfix', mode: 0o700 },
      queue('', 'root', 'wheel', 0o755),
      ...[
        'active',
        'bounce',
        'corrupt',
        'defer',
        'deferred',
        'flush',
        'hold',
        'incoming',
        'private',
        'saved',
        'trace',
      ].map((one) => queue(`/${one}`, 'postfix', 'wheel', 0o700)),
      queue('/maildrop', 'postfix', 'maildrop', 0o730),
      queue('/public', 'postfix', 'maildrop', 0o710),
      queue('/pid', 'root', 'wheel', 0o755),
    ],
  };
}

function python(
  name: string,
  origin: string,
  module: string,
  dependencies: readonly string[] = [],
): DemoPackage {
  return {
    name: `py311-${name}`,
    version: '1.0',
    origin,
    comment: `Python module ${module}`,
    annotations: { flavor: 'py311' },
    dependencies: ['python311', ...dependencies],
    entries: [text(`lib/python3.11/site-packages/${module}/__init__.py`)],
  };
}

function library(name: string, version: string, origin: string, file: string): DemoPackage {
  return {
    name,
    version,
    origin,
    comment: `Library ${name}`,
    shlibsProvided: [file],
    entries: [
      { ...text(`lib/${file}`), mode: 0o755 },
      { kind: 'symlink', path: `${LOCAL}/lib/${file.replace(/\.\d+$/, '')}`, target: file },
    ],
    scripts: {
      'post-install':
        'if ! /usr/sbin/service ldconfig restart >/dev/null; then\n  if [ -z "$' +
        '{INSTALL_AS_USER}" ]; then\n    exit 1\n  fi\nfi\n',
    },
  };
}

export const PORTS: readonly DemoPackage[] = [
  {
    name: 'pkg',
    version: '2.2.2',
    origin: 'ports-mgmt/pkg',
    comment: 'Package manager',
    vital: true,
    luaScripts: { 'post-install': [sample('etc/pkg.conf.sample')] },
    entries: [
      text('etc/pkg.conf.sample'),
      program('sbin/pkg'),
      { kind: 'hardlink', path: `${LOCAL}/sbin/pkg-static`, target: `${LOCAL}/sbin/pkg`, mode: 0o755 },
      { ...text('lib/libpkg.so.4'), mode: 0o755 },
    ],
    shlibsProvided: ['libpkg.so.4'],
  },
  {
    name: 'ec2-scripts',
    version: '1.14',
    origin: 'sysutils/ec2-scripts',
    comment: 'Scripts for FreeBSD in Amazon EC2',
    entries: [
      ...['ec2_configinit', 'ec2_ephemeral_swap', 'ec2_fetchkey', 'ec2_loghostkey', 'ec2_setpass'].map(
        (name) => service(name, true),
      ),
      program('bin/aws-ec2-imdsv2-get'),
      program('sbin/ec2_configinit'),
    ],
  },
  {
    name: 'ebsnvme-id',
    version: '1.0.2',
    origin: 'sysutils/ebsnvme-id',
    comment: 'Names for Amazon EBS volumes',
    entries: [program('sbin/ebsnvme-id'), service('dev_aws_disk'), text('etc/devd/aws_disk.conf')],
  },
  {
    name: 'isc-dhcp44-client',
    version: '4.4.3P1_1',
    origin: 'net/isc-dhcp44-client',
    comment: 'DHCP client of the ISC',
    licenses: ['MPL20'],
    luaScripts: { 'post-install': [sample('etc/dhclient.conf.sample')] },
    entries: [program('sbin/dhclient'), text('etc/dhclient.conf.sample')],
  },
  ...['firstboot-freebsd-update', 'firstboot-pkgs', 'firstboot-pkg-upgrade'].map(
    (name): DemoPackage => ({
      name,
      version: '1.5',
      origin: `sysutils/${name}`,
      comment: `${name} at the first boot`,
      entries: [service(name.replaceAll('-', '_'), true)],
    }),
  ),
  {
    name: 'amazon-ssm-agent',
    version: '3.3.1957.0_1',
    origin: 'sysutils/amazon-ssm-agent',
    comment: 'Agent of Amazon EC2 Systems Manager',
    licenses: ['APACHE20'],
    luaScripts: { 'post-install': [sample('etc/amazon/ssm/amazon-ssm-agent.json.sample')] },
    entries: [
      program('sbin/amazon-ssm-agent'),
      service('amazon_ssm_agent'),
      text('etc/amazon/ssm/amazon-ssm-agent.json.sample'),
    ],
  },
  {
    name: 'python311',
    version: '3.11.13',
    origin: 'lang/python311',
    comment: 'Interpreter of Python 3.11',
    licenses: ['PSFL'],
    entries: [program('bin/python3.11'), { ...text('lib/libpython3.11.so.1.0'), mode: 0o755 }],
    shlibsProvided: ['libpython3.11.so.1.0'],
  },
  python('pyyaml', 'devel/py-pyyaml', 'yaml'),
  python('jinja2', 'devel/py-Jinja2', 'jinja2'),
  python('configobj', 'devel/py-configobj', 'configobj'),
  python('oauthlib', 'security/py-oauthlib', 'oauthlib'),
  python('requests', 'www/py-requests', 'requests'),
  python('jsonpatch', 'devel/py-jsonpatch', 'jsonpatch'),
  python('jsonschema', 'devel/py-jsonschema', 'jsonschema'),
  {
    ...python('cloud-init', 'net/cloud-init', 'cloudinit', [
      ...['pyyaml', 'jinja2', 'configobj', 'oauthlib', 'requests', 'jsonpatch', 'jsonschema'].map(
        (name) => `py311-${name}`,
      ),
      'dmidecode',
      'doas',
    ]),
    version: '25.1.4',
    comment: 'Init scripts for use on cloud images',
    licenses: ['GPLv3'],
    entries: [
      text('lib/python3.11/site-packages/cloudinit/__init__.py'),
      program('bin/cloud-init'),
      ...['cloudconfig', 'cloudfinal', 'cloudinit', 'cloudinitlocal'].map((name) => service(name)),
      text('etc/cloud/cloud.cfg'),
      { kind: 'directory', path: `${LOCAL}/etc/cloud/cloud.cfg.d` },
    ],
  },
  {
    name: 'dmidecode',
    version: '3.6',
    origin: 'sysutils/dmidecode',
    comment: 'Reader of the DMI table',
    licenses: ['GPLv2'],
    entries: [program('sbin/dmidecode')],
  },
  {
    name: 'doas',
    version: '6.3p12',
    origin: 'security/doas',
    comment: 'Runs commands as another user',
    entries: [program('bin/doas', 0o4755), text('etc/doas.conf.sample')],
  },
  {
    name: 'pkesh',
    version: '1.0',
    origin: 'security/pkesh',
    comment: 'Public-key encryption for shell scripts',
    entries: [program('bin/pkesh')],
  },
  {
    name: 'panicmail',
    version: '2.0',
    origin: 'sysutils/panicmail',
    comment: 'Mails kernel panics',
    dependencies: ['pkesh'],
    entries: [service('panicmail'), text('share/panicmail/pubkey.pem')],
  },
  {
    name: 'cyrus-sasl',
    version: '2.1.28_5',
    origin: 'security/cyrus-sasl2',
    comment: 'Library of authentication mechanisms',
    shlibsProvided: ['libsasl2.so.3'],
    entries: [
      { ...text('lib/libsasl2.so.3'), mode: 0o755 },
      { ...text('lib/sasl2/libplain.so.3'), mode: 0o755 },
    ],
    users: ['cyrus'],
    groups: ['cyrus'],
    scripts: {
      'pre-install': accounts(
        [['cyrus', 60]],
        [{ name: 'cyrus', id: 60, comment: 'the cyrus mail server', home: '/nonexistent' }],
      ),
    },
  },
  postfix('postfix', 'default', ['pcre2', 'icu']),
  postfix('postfix-sasl', 'sasl', ['pcre2', 'icu', 'cyrus-sasl']),
  library('pcre2', '10.45_1', 'devel/pcre2', 'libpcre2-8.so.0'),
  library('icu', '76.1,1', 'devel/icu', 'libicuuc.so.76'),
  library('libnghttp2', '1.66.0', 'www/libnghttp2', 'libnghttp2.so.14'),
  library('libpsl', '0.21.5_2', 'dns/libpsl', 'libpsl.so.5'),
  library('libevent', '2.1.12', 'devel/libevent', 'libevent_core-2.1.so.7'),
  library('utf8proc', '2.10.0', 'textproc/utf8proc', 'libutf8proc.so.3'),
  {
    name: 'tmux',
    version: '3.5a_1',
    origin: 'sysutils/tmux',
    comment: 'Terminal multiplexer',
    licenses: ['ISCL'],
    dependencies: ['libevent', 'utf8proc'],
    shlibsRequired: ['libevent_core-2.1.so.7', 'libutf8proc.so.3'],
    entries: [program('bin/tmux')],
  },
  {
    name: 'htop',
    version: '3.4.1',
    origin: 'sysutils/htop',
    comment: 'Process viewer',
    licenses: ['GPLv2'],
    entries: [program('bin/htop')],
  },
  {
    name: 'sudo',
    version: '1.9.17p2',
    origin: 'security/sudo',
    comment: 'Runs commands as another user',
    licenses: ['sudo'],
    luaScripts: {
      'post-install': [sample('etc/sudo.conf.sample'), sample('etc/sudoers.dist', 'etc/sudoers')],
    },
    entries: [
      text('etc/sudo.conf.sample'),
      text('etc/sudoers.dist', 'root ALL=(ALL:ALL) ALL\n@includedir /usr/local/etc/sudoers.d\n', {
        mode: 0o440,
      }),
      { kind: 'directory', path: `${LOCAL}/etc/sudoers.d`, mode: 0o750 },
      program('bin/sudo', 0o4755),
      program('sbin/visudo'),
    ],
  },
  {
    name: 'curl',
    version: '8.15.0',
    origin: 'ftp/curl',
    comment: 'Client of HTTP, FTP and others',
    licenses: ['MIT'],
    dependencies: ['libnghttp2', 'libpsl', 'ca_root_nss'],
    shlibsRequired: ['libnghttp2.so.14', 'libpsl.so.5'],
    shlibsProvided: ['libcurl.so.4'],
    options: { IPV6: 'on', DOCS: 'off' },
    entries: [program('bin/curl'), { ...text('lib/libcurl.so.4'), mode: 0o755 }],
  },
  {
    name: 'ca_root_nss',
    version: '3.115',
    origin: 'security/ca_root_nss',
    comment: 'Bundle of authorities of the Mozilla project',
    licenses: ['MPL20'],
    abi: 'FreeBSD:15:*',
    message: 'These are no certificates: 100% stand-in, für niemanden.',
    luaScripts: { 'post-install': [sample('share/certs/ca-root-nss.crt', 'etc/ssl/cert.pem')] },
    entries: [text('share/certs/ca-root-nss.crt')],
  },
  {
    name: 'nginx',
    version: '1.28.0_3,3',
    origin: 'www/nginx',
    comment: 'Web server',
    dependencies: ['pcre2'],
    shlibsRequired: ['libpcre2-8.so.0'],
    users: ['www'],
    groups: ['www'],
    options: { HTTP_SSL: 'on', WWW: 'on' },
    scripts: {
      'pre-install': wwwAccount,
      'post-install':
        'mkdir -p -m 755 /usr/local/www/nginx-dist\n' +
        'if [ ! -d /usr/local/www/nginx/ ] ; then ln -fs /usr/local/www/nginx-dist /usr/local/www/nginx; fi\n' +
        'chmod a-w /usr/local/www/nginx-dist\n',
    },
    luaScripts: {
      'post-install': ['nginx.conf', 'mime.types', 'fastcgi_params'].map((name) =>
        sample(`etc/nginx/${name}-dist`, `etc/nginx/${name}`),
      ),
    },
    entries: [
      ...['nginx.conf', 'mime.types', 'fastcgi_params'].map((name) => text(`etc/nginx/${name}-dist`)),
      service('nginx'),
      program('sbin/nginx'),
      text('www/nginx-dist/index.html'),
      text('www/nginx-dist/EXAMPLE_DIRECTORY-DONT_ADD_OR_TOUCH_ANYTHING'),
      { kind: 'directory', path: '/var/log/nginx' },
      { kind: 'directory', path: '/var/tmp/nginx', owner: 'www', group: 'www', mode: 0o700 },
    ],
  },
  {
    name: 'gdb',
    version: '16.3',
    origin: 'devel/gdb',
    comment: 'GNU debugger, with kgdb for dumps of the kernel',
    licenses: ['GPLv3'],
    entries: [program('bin/gdb'), program('bin/kgdb')],
  },
  {
    name: 'tmux',
    version: '3.5a_1',
    origin: 'sysutils/tmux',
    comment: 'Terminal multiplexer',
    entries: [program('bin/tmux')],
  },
  {
    name: 'bash',
    version: '5.3.3',
    origin: 'shells/bash',
    comment: 'Shell of the GNU project',
    licenses: ['GPLv3+'],
    scripts: {
      'post-install':
        '  case "bin/bash" in\n  /*) file="bin/bash" ;;\n  *) file="/usr/local/bin/bash" ;;\n  esac\n' +
        '  cp $' +
        '{PKG_ROOTDIR}/etc/shells $' +
        '{PKG_ROOTDIR}/etc/shells.bak\n' +
        '  (grep -v "^$' +
        '{file}$" $' +
        '{PKG_ROOTDIR}/etc/shells.bak; echo $' +
        '{file}) > $' +
        '{PKG_ROOTDIR}/etc/shells\n' +
        '  rm -f $' +
        '{PKG_ROOTDIR}/etc/shells.bak\n',
    },
    entries: [program('bin/bash')],
  },
  {
    name: 'demo-shapes',
    version: '1.0_2,1',
    origin: 'demo/demo-shapes',
    comment: 'Every kind of thing that a package can hold',
    config: ['/usr/local/etc/demo-shapes.conf'],
    entries: [
      text('etc/demo-shapes.conf', 'colour=green\n'),
      program('bin/demo-setuid', 0o4755),
      { ...program('bin/demo-setgid', 0o2755), group: 'tty' },
      { ...program('bin/demo-flags', 0o555), flags: 'schg,uarch' },
      text('share/demo-shapes/one name'),
      {
        kind: 'hardlink',
        path: `${LOCAL}/share/demo-shapes/other name`,
        target: `${LOCAL}/share/demo-shapes/one name`,
      },
      text('share/demo-shapes/café', '', { owner: 'nobody', group: 'nobody', mode: 0o640 }),
      { kind: 'symlink', path: `${LOCAL}/share/demo-shapes/relative`, target: '../demo-shapes/café' },
      {
        kind: 'symlink',
        path: `${LOCAL}/share/demo-shapes/absolute`,
        target: '/usr/local/share/demo-shapes/café',
      },
      { kind: 'directory', path: '/var/demo-shapes', owner: 'daemon', group: 'daemon', mode: 0o1777 },
    ],
  },
];
