/** The users and groups whose numbers FreeBSD fixes (names and numbers as in its /etc/master.passwd and /etc/group). */

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

const NOLOGIN = '/usr/sbin/nologin';

function account(name: string, uid: number, gid: number, home = '/nonexistent', shell = NOLOGIN): Account {
  return { name, uid, gid, home, shell };
}

export const ACCOUNTS: readonly Account[] = [
  account('root', 0, 0, '/root', '/bin/sh'),
  account('toor', 0, 0, '/root', ''),
  account('daemon', 1, 1, '/root'),
  account('operator', 2, 5, '/'),
  account('bin', 3, 7, '/'),
  account('tty', 4, 65533, '/'),
  account('kmem', 5, 65533, '/'),
  account('games', 7, 13, '/'),
  account('news', 8, 8, '/'),
  account('man', 9, 9, '/usr/share/man'),
  account('sshd', 22, 22, '/var/empty'),
  account('smmsp', 25, 25, '/var/spool/clientmqueue'),
  account('mailnull', 26, 26, '/var/spool/mqueue'),
  account('bind', 53, 53, '/'),
  account('unbound', 59, 59, '/var/unbound'),
  account('proxy', 62, 62),
  account('_pflogd', 64, 64, '/var/empty'),
  account('_dhcp', 65, 65, '/var/empty'),
  account('uucp', 66, 66, '/var/spool/uucppublic', '/usr/local/libexec/uucp/uucico'),
  account('pop', 68, 6),
  account('auditdistd', 78, 77, '/var/empty'),
  account('www', 80, 80),
  account('ntpd', 123, 123, '/var/db/ntp'),
  account('_ypldap', 160, 160, '/var/empty'),
  account('hast', 845, 845, '/var/empty'),
  account('tests', 977, 977),
  account('nobody', 65534, 65534),
];

export const GROUPS: ReadonlyMap<string, number> = new Map([
  ['wheel', 0],
  ['daemon', 1],
  ['kmem', 2],
  ['sys', 3],
  ['tty', 4],
  ['operator', 5],
  ['mail', 6],
  ['bin', 7],
  ['news', 8],
  ['man', 9],
  ['games', 13],
  ['ftp', 14],
  ['staff', 20],
  ['sshd', 22],
  ['smmsp', 25],
  ['mailnull', 26],
  ['guest', 31],
  ['video', 44],
  ['realtime', 47],
  ['idletime', 48],
  ['bind', 53],
  ['unbound', 59],
  ['proxy', 62],
  ['authpf', 63],
  ['_pflogd', 64],
  ['_dhcp', 65],
  ['uucp', 66],
  ['dialer', 68],
  ['network', 69],
  ['audit', 77],
  ['www', 80],
  ['u2f', 116],
  ['ntpd', 123],
  ['_ypldap', 160],
  ['hast', 845],
  ['tests', 977],
  ['nogroup', 65533],
  ['nobody', 65534],
]);

export function uidOf(name: string): number {
  const found = ACCOUNTS.find((entry) => entry.name === name);
  if (!found) throw new Error(`No account ${name} in the demo release.`);
  return found.uid;
}

export function gidOf(name: string): number {
  const gid = GROUPS.get(name);
  if (gid === undefined) throw new Error(`No group ${name} in the demo release.`);
  return gid;
}

/** master.passwd(5): ten fields, the password `*` (no login) but empty for root, as FreeBSD delivers it. */
export function masterPasswd(): string {
  return ACCOUNTS.map(({ name, uid, gid, home, shell }) => {
    const password = name === 'root' ? '' : '*';
    return `${name}:${password}:${uid}:${gid}::0:0:Demo release ${name}:${home}:${shell}\n`;
  }).join('');
}

/** passwd(5): seven fields, without the passwords. */
export function passwd(): string {
  return ACCOUNTS.map(
    ({ name, uid, gid, home, shell }) => `${name}:*:${uid}:${gid}:Demo release ${name}:${home}:${shell}\n`,
  ).join('');
}

export function group(): string {
  const members = new Map([
    ['wheel', 'root'],
    ['operator', 'root'],
  ]);
  return [...GROUPS].map(([name, gid]) => `${name}:*:${gid}:${members.get(name) ?? ''}\n`).join('');
}
