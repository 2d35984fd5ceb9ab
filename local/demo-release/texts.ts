/**
 * The named text files of the demo release. The wording is ours; names, keywords and default values are those that the
 * worker has to find and change (sshd_config, ntp.conf, rc.conf and so on).
 */
import { group, masterPasswd, passwd } from './accounts.ts';

import { type Architecture, MACHINE_ARCHITECTURE, RELEASE } from './release.ts';
import { FINGERPRINT } from './signing-key.ts';

interface Text {
  readonly text: string;
  readonly mode?: number;
  readonly owner?: string;
  readonly group?: string;
}

const NOTICE = 'Part of the ami-foundry demo release, a stand-in. This is not FreeBSD.';

/** A file with `#` comments. */
function conf(text: string, facts: Omit<Text, 'text'> = {}): Text {
  return { text: `# ${NOTICE}\n${text}`, ...facts };
}

function script(text: string): Text {
  return { text: `#!/bin/sh\n# ${NOTICE}\n${text}`, mode: 0o555 };
}

function plain(text: string, facts: Omit<Text, 'text'> = {}): Text {
  return { text: `${NOTICE}\n${text}`, ...facts };
}

function rcScript(name: string): Text {
  return script(
    `# PROVIDE: ${name}\n# REQUIRE: DAEMON\n# KEYWORD: shutdown\necho "demo release: ${name} would start here"\n`,
  );
}

const RC_SCRIPTS = (
  'DAEMON FILESYSTEMS LOGIN NETWORKING SERVERS cleanvar cron devd devfs dhclient dmesg dumpon fsck growfs growfs_fstab ' +
  'hostid hostname kld kldxref ldconfig localpkg local motd mountcritlocal mountlate netif newsyslog ntpd ntpdate ' +
  'os-release powerd random resolv root routing rtsold savecore sendmail sshd swap swaplate sysctl syslogd tmp utx ' +
  'var virecover zfs zpool zpoolreguid zpoolupgrade'
).split(' ');

/** Path → text, for base. The architecture decides the console and the names. */
export function baseTexts(architecture: Architecture): ReadonlyMap<string, Text> {
  const machine = MACHINE_ARCHITECTURE[architecture];
  const texts = new Map<string, Text>([
    ['./COPYRIGHT', plain('The terms of ami-foundry (BSD-2-Clause) apply to this text.\n')],
    [
      './bin/freebsd-version',
      script(
        `USERLAND_VERSION="${RELEASE}"\n` +
          'echo "$' +
          '{USERLAND_VERSION}"\necho "ami-foundry demo release: not FreeBSD" >&2\n',
      ),
    ],
    [
      './etc/ami-foundry-demo',
      conf(
        `foundry-demo-release: ${RELEASE} ${architecture}\nfoundry-demo-release: this file was read from the root\n`,
      ),
    ],
    ['./etc/master.passwd', conf(masterPasswd(), { mode: 0o600 })],
    ['./etc/passwd', conf(passwd())],
    ['./etc/group', conf(group())],
    ['./etc/motd.template', plain('Welcome to a machine without an operating system.\n')],
    [
      './etc/rc',
      conf('# Started by init(8) on a real system; here it only says so.\necho "demo release: rc"\n', {
        mode: 0o644,
      }),
    ],
    ['./etc/rc.shutdown', conf('echo "demo release: rc.shutdown"\n')],
    ['./etc/rc.subr', conf('checkyesno() { case "$1" in [Yy][Ee][Ss]) return 0 ;; esac; return 1; }\n')],
    ['./etc/rc.conf.d/.keep', conf('')],
    [
      './etc/defaults/rc.conf',
      conf(
        'hostname=""\nsshd_enable="NO"\nntpd_enable="NO"\ngrowfs_enable="NO"\ndumpdev="NO"\n' +
          'sendmail_enable="NO"\nfirstboot_sentinel="/firstboot"\nrc_conf_files="/etc/rc.conf /etc/rc.conf.local"\n',
      ),
    ],
    ['./etc/fstab.example', conf('# Device\tMountpoint\tFStype\tOptions\tDump\tPass\n')],
    [
      './etc/ttys',
      conf(
        'console\tnone\t\t\t\tunknown\toff secure\n' +
          'ttyv0\t"/usr/libexec/getty Pc"\t\txterm\tonifexists secure\n' +
          'ttyu0\t"/usr/libexec/getty 3wire"\tvt100\tonifconsole secure\n' +
          'ttyu1\t"/usr/libexec/getty 3wire"\tvt100\tonifconsole secure\n',
      ),
    ],
    [
      './etc/ssh/sshd_config',
      conf(
        '#Port 22\n#ListenAddress 0.0.0.0\n#PermitRootLogin no\n#PasswordAuthentication no\n' +
          '#KbdInteractiveAuthentication yes\n#UsePAM yes\nSubsystem\tsftp\t/usr/libexec/sftp-server\n',
      ),
    ],
    ['./etc/ssh/ssh_config', conf('# Host *\n#   VerifyHostKeyDNS yes\n')],
    [
      './etc/ntp.conf',
      conf(
        'tos minclock 3 maxclock 6\npool 0.freebsd.pool.ntp.org iburst\npool 2.freebsd.pool.ntp.org iburst\n' +
          'restrict default limited kod nomodify notrap noquery nopeer\nrestrict 127.0.0.1\n' +
          'leapfile "/var/db/ntpd.leap-seconds.list"\n',
        {},
      ),
    ],
    [
      './etc/login.conf',
      conf(
        'default:\\\n\t:path=/sbin /bin /usr/sbin /usr/bin /usr/local/sbin /usr/local/bin ~/bin:\\\n' +
          '\t:umask=022:\\\n\t:charset=UTF-8:\\\n\t:lang=C.UTF-8:\nroot:\\\n\t:ignorenologin:\\\n\t:tc=default:\n',
      ),
    ],
    ['./etc/crontab', conf('SHELL=/bin/sh\n#minute\thour\tmday\tmonth\twday\twho\tcommand\n')],
    ['./etc/devd.conf', conf('options {\n\tdirectory "/etc/devd";\n};\n')],
    ['./etc/hosts', conf('::1\t\tlocalhost\n127.0.0.1\tlocalhost\n')],
    ['./etc/host.conf', conf('hosts\nbind\n')],
    ['./etc/nsswitch.conf', conf('group: compat\nhosts: files dns\npasswd: compat\n')],
    ['./etc/newsyslog.conf', conf('/var/log/messages\t644\t5\t1000\t@0101T\tJC\n')],
    ['./etc/syslog.conf', conf('*.notice;authpriv.none\t/var/log/messages\n')],
    ['./etc/sysctl.conf', conf('#security.bsd.see_other_uids=0\n')],
    ['./etc/shells', conf('/bin/sh\n/bin/csh\n/bin/tcsh\n')],
    ['./etc/services', conf('ssh\t22/tcp\nntp\t123/udp\n')],
    ['./etc/protocols', conf('ip\t0\tIP\ntcp\t6\tTCP\nudp\t17\tUDP\n')],
    ['./etc/opieaccess', conf('', { mode: 0o600 })],
    ['./etc/mail/aliases', conf('MAILER-DAEMON: postmaster\npostmaster: root\n')],
    ['./etc/mail/mailer.conf', conf('sendmail\t/usr/libexec/dma\n')],
    [
      './etc/pkg/FreeBSD.conf',
      conf(
        'FreeBSD-ports: {\n  url: "pkg+https://pkg.FreeBSD.org/$' +
          '{ABI}/quarterly",\n  mirror_type: "srv",\n  signature_type: "fingerprints",\n' +
          '  fingerprints: "/usr/share/keys/pkg",\n  enabled: yes\n}\n' +
          'FreeBSD-base: {\n  url: "pkg+https://pkg.FreeBSD.org/$' +
          '{ABI}/base_release_1",\n  mirror_type: "srv",\n  enabled: no\n}\n',
      ),
    ],
    // Whom the release trusts: the demo's own worthless key, for ports and for base packages.
    ...['pkg', 'pkgbase-15'].map((keys): [string, Text] => [
      `./usr/share/keys/${keys}/trusted/ami-foundry-demo`,
      conf(`function: "sha256"\nfingerprint: "${FINGERPRINT}"\n`),
    ]),
    ['./boot/device.hints', conf('hint.acpi.0.oem="demo"\nhint.uart.0.at="isa"\nhint.uart.0.port="0x3F8"\n')],
    [
      './boot/defaults/loader.conf',
      conf(
        'kernel="kernel"\nautoboot_delay="10"\nbeastie_disable="NO"\nboot_multicons="NO"\n' +
          'loader_conf_files="/boot/device.hints /boot/loader.conf /boot/loader.conf.local"\n',
      ),
    ],
    ['./usr/share/skel/dot.profile', conf('EDITOR=vi; export EDITOR\n')],
    ['./usr/share/skel/dot.cshrc', conf('umask 22\n')],
    ['./usr/share/misc/operator', conf('*\toperator\n')],
    ['./usr/include/osreldate.h', { text: `/* ${NOTICE} */\n#define __FreeBSD_version 1501000\n` }],
    ['./usr/lib/pkgconfig/demo.pc', conf(`Name: demo\nDescription: ${machine}\nVersion: 15.1\n`)],
    [
      './usr/share/licenses/esbuild/LICENSE-NOTE',
      plain(
        '/usr/bin/esbuild is the program of the npm package @esbuild/freebsd-*; its MIT licence is beside.\n',
      ),
    ],
  ]);
  for (const name of RC_SCRIPTS) texts.set(`./etc/rc.d/${name}`, rcScript(name));
  for (const name of 'cli color config core drawer gfx hook loader logo menu password screen'.split(' ')) {
    texts.set(`./boot/lua/${name}.lua`, { text: `-- ${NOTICE}\nreturn { name = "${name}" }\n` });
  }
  return texts;
}
