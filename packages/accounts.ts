/** The image's accounts: master.passwd(5), passwd(5) and group(5) as text. The databases are made when the image is sealed. */
import { PackageError } from './errors.ts';
import type { ImageTree } from './image-tree.ts';

export interface NewUser {
  readonly name: string;
  readonly uid: number;
  /** A number, or the name of a group. */
  readonly group: string;
  readonly loginClass: string;
  readonly comment: string;
  readonly home: string;
  readonly shell: string;
}

const MASTER = '/etc/master.passwd';
const PASSWD = '/etc/passwd';
const GROUP = '/etc/group';

interface Line {
  readonly text: string;
  readonly fields: readonly string[];
}

export class Accounts {
  readonly #tree: ImageTree;
  #users: Line[] | undefined;
  #groups: Line[] | undefined;
  #changed = false;

  constructor(tree: ImageTree) {
    this.#tree = tree;
  }

  #read(path: string, why: string): Line[] {
    if (!this.#tree.stat(path)?.isFile()) {
      throw new PackageError(
        'PackageFailed',
        `${why}, and the image has no ${path}`,
        'install the base system first: as sets, or as packages in the same request',
      );
    }
    return this.#tree
      .readText(path)
      .replace(/\n$/, '')
      .split('\n')
      .map((text) => ({ text, fields: text.startsWith('#') ? [] : text.split(':') }));
  }

  #userLines(why: string): Line[] {
    this.#users ??= this.#read(MASTER, why);
    return this.#users;
  }

  #groupLines(why: string): Line[] {
    this.#groups ??= this.#read(GROUP, why);
    return this.#groups;
  }

  /** To be called when a package has brought new files of accounts. */
  reread(package_: string): void {
    if (this.#changed) {
      throw new PackageError(
        'PackageFailed',
        `${package_} brings account files after another package has added accounts`,
        'install base packages and ports in an order that brings FreeBSD-runtime first',
      );
    }
    this.#users = undefined;
    this.#groups = undefined;
  }

  user(name: string): { readonly uid: number; readonly line: string } | undefined {
    const found = this.#userLines(`the user ${name} is wanted`).find(({ fields }) => fields[0] === name);
    return found && { uid: Number(found.fields[2]), line: found.text };
  }

  group(name: string): { readonly gid: number; readonly line: string } | undefined {
    const found = this.#groupLines(`the group ${name} is wanted`).find(({ fields }) => fields[0] === name);
    return found && { gid: Number(found.fields[2]), line: found.text };
  }

  #check(values: readonly string[]): void {
    for (const value of values) {
      if (/[:\n\0]/.test(value)) throw new Error(`${JSON.stringify(value)} cannot stand in an account file`);
    }
  }

  /** @throws Error when the name or the number is taken, as pw(8) refuses it */
  addGroup(name: string, gid: number): void {
    this.#check([name]);
    const lines = this.#groupLines(`the group ${name} is to be added`);
    if (this.group(name)) throw new Error(`the group ${name} exists`);
    const taken = lines.find(({ fields }) => fields[2] === String(gid));
    if (taken) throw new Error(`the group number ${gid} belongs to ${taken.fields[0]}`);
    const text = `${name}:*:${gid}:`;
    lines.push({ text, fields: text.split(':') });
    this.#changed = true;
  }

  addUser(user: NewUser): void {
    const { name, uid, loginClass, comment, home, shell } = user;
    this.#check([name, loginClass, comment, home, shell]);
    const lines = this.#userLines(`the user ${name} is to be added`);
    if (this.user(name)) throw new Error(`the user ${name} exists`);
    const taken = lines.find(({ fields }) => fields[2] === String(uid));
    if (taken) throw new Error(`the user number ${uid} belongs to ${taken.fields[0]}`);
    const gid = /^\d+$/.test(user.group) ? Number(user.group) : this.group(user.group)?.gid;
    if (gid === undefined) throw new Error(`there is no group ${user.group}`);
    const text = [name, '*', uid, gid, loginClass, 0, 0, comment, home, shell].join(':');
    lines.push({ text, fields: text.split(':') });
    this.#changed = true;
  }

  addMember(group: string, user: string): void {
    this.#check([user]);
    const lines = this.#groupLines(`${user} is to become a member of ${group}`);
    const at = lines.findIndex(({ fields }) => fields[0] === group);
    const line = lines[at];
    if (!line) throw new Error(`there is no group ${group}`);
    const names = (line.fields[3] ?? '').split(',').filter((name) => name !== '');
    if (names.includes(user)) return;
    const text = [line.fields[0], line.fields[1], line.fields[2], [...names, user].join(',')].join(':');
    lines[at] = { text, fields: text.split(':') };
    this.#changed = true;
  }

  /** Writes the files back, passwd in the form that master.passwd gives it. */
  save(): void {
    if (!this.#changed) return;
    const joined = (lines: readonly Line[]): string => lines.map(({ text }) => `${text}\n`).join('');
    if (this.#users) {
      this.#tree.writeText(MASTER, joined(this.#users));
      const known = new Set(
        this.#tree.stat(PASSWD) ? this.#read(PASSWD, '').map(({ fields }) => fields[0]) : [],
      );
      const added = this.#users
        .filter(({ fields }) => fields.length === 10 && !known.has(fields[0]))
        .map(({ fields: [name, , uid, gid, , , , comment, home, shell] }) =>
          [name, '*', uid, gid, comment, home, shell].join(':'),
        );
      const before = this.#tree.stat(PASSWD) ? this.#tree.readText(PASSWD) : '';
      this.#tree.writeText(PASSWD, before + added.map((line) => `${line}\n`).join(''));
    }
    if (this.#groups) this.#tree.writeText(GROUP, joined(this.#groups));
    this.#changed = false;
  }
}
