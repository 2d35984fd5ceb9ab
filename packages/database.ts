/**
 * /var/db/pkg/local.sqlite, the register of installed packages, in the layout of pkg's schema 36 (pkg 1.18 to 2.x): a newer pkg
 * brings it up to date by itself at its first run as root. The tables, columns and values are facts of pkg; the bytes depend on
 * nothing but the packages and the version of SQLite in Node.
 */
import { createHash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import type { Manifest, ScriptName } from './manifest.ts';

export interface InstalledPackage {
  readonly manifest: Manifest;
  readonly automatic: boolean;
  readonly repository: string;
  /** Content of the files that `config` names, by path. */
  readonly configFiles: ReadonlyMap<string, string>;
}

const SCHEMA_VERSION = 36;

/** Columns of a table; `package` stands for the reference that goes with its package. */
const PACKAGE = 'package_id INTEGER REFERENCES packages(id) ON DELETE CASCADE ON UPDATE CASCADE';
const OWNED = `${PACKAGE.replace('INTEGER', 'INTEGER NOT NULL')}`;
const restrict = (column: string, table: string, key = 'id'): string =>
  `${column} INTEGER REFERENCES ${table}(${key}) ON DELETE RESTRICT ON UPDATE RESTRICT`;

/** Words that many packages share, and which package has which: categories, licenses, users and so on. */
const NAMED = [
  { table: 'categories', link: 'pkg_categories', column: 'category_id', key: 'PRIMARY KEY' },
  { table: 'licenses', link: 'pkg_licenses', column: 'license_id', key: 'PRIMARY KEY' },
  { table: 'users', link: 'pkg_users', column: 'user_id', key: 'UNIQUE' },
  { table: 'groups', link: 'pkg_groups', column: 'group_id', key: 'UNIQUE' },
] as const;

const SCHEMA: readonly string[] = [
  `CREATE TABLE packages (id INTEGER PRIMARY KEY, origin TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
    comment TEXT NOT NULL, desc TEXT NOT NULL, mtree_id INTEGER, message TEXT, arch TEXT NOT NULL, maintainer TEXT NOT NULL,
    www TEXT, prefix TEXT NOT NULL, flatsize INTEGER NOT NULL, automatic INTEGER NOT NULL, locked INTEGER NOT NULL DEFAULT 0,
    licenselogic INTEGER NOT NULL, time INTEGER, manifestdigest TEXT NULL, pkg_format_version INTEGER, dep_formula TEXT NULL,
    vital INTEGER NOT NULL DEFAULT 0)`,
  'CREATE UNIQUE INDEX packages_unique ON packages(name)',
  'CREATE TABLE script (script_id INTEGER PRIMARY KEY, script TEXT NOT NULL UNIQUE)',
  `CREATE TABLE pkg_script (${PACKAGE}, type INTEGER,
    script_id INTEGER REFERENCES script(script_id) ON DELETE RESTRICT ON UPDATE CASCADE, PRIMARY KEY (package_id, type))`,
  'CREATE TABLE option (option_id INTEGER PRIMARY KEY, option TEXT NOT NULL UNIQUE)',
  'CREATE TABLE option_desc (option_desc_id INTEGER PRIMARY KEY, option_desc TEXT NOT NULL UNIQUE)',
  `CREATE TABLE pkg_option (${OWNED},
    option_id INTEGER NOT NULL REFERENCES option(option_id) ON DELETE RESTRICT ON UPDATE CASCADE, value TEXT NOT NULL,
    PRIMARY KEY (package_id, option_id))`,
  `CREATE TABLE pkg_option_desc (${OWNED},
    option_id INTEGER NOT NULL REFERENCES option(option_id) ON DELETE RESTRICT ON UPDATE CASCADE,
    option_desc_id INTEGER NOT NULL REFERENCES option_desc(option_desc_id) ON DELETE RESTRICT ON UPDATE CASCADE,
    PRIMARY KEY (package_id, option_id))`,
  `CREATE TABLE pkg_option_default (${OWNED},
    option_id INTEGER NOT NULL REFERENCES option(option_id) ON DELETE RESTRICT ON UPDATE CASCADE, default_value TEXT NOT NULL,
    PRIMARY KEY (package_id, option_id))`,
  `CREATE TABLE deps (origin TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, ${PACKAGE})`,
  'CREATE UNIQUE INDEX deps_unique ON deps(name, version, package_id)',
  `CREATE TABLE files (path TEXT PRIMARY KEY, sha256 TEXT, ${PACKAGE})`,
  'CREATE TABLE directories (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE)',
  `CREATE TABLE pkg_directories (${PACKAGE}, ${restrict('directory_id', 'directories')}, try INTEGER,
    PRIMARY KEY (package_id, directory_id))`,
  ...NAMED.flatMap(({ table, link, column, key }) => [
    `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)`,
    `CREATE TABLE ${link} (${PACKAGE}, ${restrict(column, table)}, ${key} (package_id, ${column}))`,
  ]),
  'CREATE TABLE shlibs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)',
  ...['required', 'provided'].map(
    (side) =>
      `CREATE TABLE pkg_shlibs_${side} (${OWNED}, ${restrict('shlib_id', 'shlibs').replace('INTEGER', 'INTEGER NOT NULL')},
    UNIQUE (package_id, shlib_id))`,
  ),
  'CREATE TABLE annotation (annotation_id INTEGER PRIMARY KEY, annotation TEXT NOT NULL UNIQUE)',
  `CREATE TABLE pkg_annotation (package_id INTEGER REFERENCES packages(id) ON DELETE CASCADE ON UPDATE RESTRICT,
    tag_id INTEGER NOT NULL REFERENCES annotation(annotation_id) ON DELETE CASCADE ON UPDATE RESTRICT,
    value_id INTEGER NOT NULL REFERENCES annotation(annotation_id) ON DELETE CASCADE ON UPDATE RESTRICT,
    UNIQUE (package_id, tag_id))`,
  `CREATE TABLE pkg_conflicts (${OWNED}, conflict_id INTEGER NOT NULL, UNIQUE (package_id, conflict_id))`,
  'CREATE TABLE pkg_lock (exclusive INTEGER(1), advisory INTEGER(1), read INTEGER(8))',
  'CREATE TABLE pkg_lock_pid (pid INTEGER PRIMARY KEY)',
  'INSERT INTO pkg_lock VALUES (0, 0, 0)',
  ...['provide', 'require'].flatMap((word) => [
    `CREATE TABLE ${word}s (id INTEGER PRIMARY KEY, ${word} TEXT NOT NULL)`,
    `CREATE TABLE pkg_${word}s (${OWNED}, ${restrict(`${word}_id`, `${word}s`).replace('INTEGER', 'INTEGER NOT NULL')},
    UNIQUE (package_id, ${word}_id))`,
  ]),
  `CREATE TABLE config_files (path TEXT NOT NULL UNIQUE, content TEXT, ${PACKAGE})`,
  'CREATE TABLE lua_script (lua_script_id INTEGER PRIMARY KEY, lua_script TEXT NOT NULL UNIQUE)',
  `CREATE TABLE pkg_lua_script (${OWNED},
    lua_script_id INTEGER NOT NULL REFERENCES lua_script(lua_script_id) ON DELETE RESTRICT ON UPDATE RESTRICT, type INTEGER,
    UNIQUE (package_id, lua_script_id))`,
  // One index has had a spelling mistake in its name since 2012; upgrades of the schema may ask for it by that name.
  'CREATE INDEX deporigini ON deps(origin)',
  ...[
    'pkg_script',
    'deps',
    'files',
    'pkg_directories',
    'pkg_categories',
    'pkg_licenses',
    'pkg_users',
    'pkg_groups',
    'pkg_shlibs_required',
    'pkg_shlibs_provided',
    'pkg_annotation',
  ].map((table) => `CREATE INDEX ${table}_package_id ON ${table}(package_id)`),
  'CREATE INDEX pkg_directories_directory_id ON pkg_directories(directory_id)',
  'CREATE INDEX pkg_digest_id ON packages(origin, manifestdigest)',
  'CREATE INDEX pkg_conflicts_pid ON pkg_conflicts(package_id)',
  'CREATE INDEX pkg_conflicts_cid ON pkg_conflicts(conflict_id)',
  'CREATE INDEX pkg_provides_id ON pkg_provides(package_id)',
  'CREATE INDEX packages_origin ON packages(origin COLLATE NOCASE)',
  'CREATE INDEX packages_name ON packages(name COLLATE NOCASE)',
];

/** Numbers of scripts in pkg_script and pkg_lua_script. */
const SCRIPT_TYPES: Readonly<Record<ScriptName, number>> = {
  'pre-install': 0,
  'post-install': 1,
  'pre-deinstall': 2,
  'post-deinstall': 3,
  'pre-upgrade': 4,
  'post-upgrade': 5,
  install: 6,
  deinstall: 7,
  upgrade: 8,
};
const LUA_TYPES = ['pre-install', 'post-install', 'pre-deinstall', 'post-deinstall'];
/** Characters as numbers: `|` and `&`. */
const LICENSE_LOGIC = { single: 1, or: 124, and: 38 } as const;

/** The alphabet and bit order of pkg's base 32 (z-base-32's letters, lowest bits first). */
function base32(bytes: Buffer): string {
  const letters = 'ybndrfg8ejkmcpqxot1uwisza345h769';
  let text = '';
  let held = 0;
  let count = 0;
  for (const byte of bytes) {
    held |= byte << count;
    count += 8;
    while (count >= 5) {
      text += letters[held & 31];
      held >>= 5;
      count -= 5;
    }
  }
  return count > 0 ? text + letters[held & 31] : text;
}

/** What pkg compares to tell whether two packages are the same: BLAKE2b over sorted pairs, as version 2, kind 2. */
export function manifestDigest(manifest: Manifest): string {
  const pairs: [string, string][] = [
    ['name', manifest.name],
    ['origin', manifest.origin],
    ['version', manifest.version],
    ['arch', manifest.abi],
    ...manifest.options,
    ...manifest.shlibsRequired.map((name): [string, string] => ['required_shlib', name]),
    ...manifest.shlibsProvided.map((name): [string, string] => ['provided_shlib', name]),
    ...manifest.users.map((name): [string, string] => ['user', name]),
    ...manifest.groups.map((name): [string, string] => ['group', name]),
    ...manifest.dependencies.map(({ name, origin }): [string, string] => ['depend', `${name}~${origin}`]),
    ...manifest.provides.map((name): [string, string] => ['provide', name]),
    ...manifest.requires.map((name): [string, string] => ['require', name]),
    ...[...manifest.files].map(([path, { sum }]): [string, string] => [path, sum]),
  ];
  const bytes = ([key, value]: [string, string]): [Buffer, Buffer] => [Buffer.from(key), Buffer.from(value)];
  const sorted = pairs.map(bytes).sort(([a, x], [b, y]) => Buffer.compare(a, b) || Buffer.compare(x, y));
  const hash = createHash('blake2b512');
  for (const [key, value] of sorted) hash.update(key).update(value);
  return `2$2$${base32(hash.digest())}`;
}

/** Makes the database in a new file. Packages come in the order of their installation. */
export function writeDatabase(path: string, packages: readonly InstalledPackage[], timestamp: number): void {
  const database = new DatabaseSync(path);
  try {
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; BEGIN');
    for (const statement of SCHEMA) database.exec(statement);
    const prepared = new Map<string, ReturnType<DatabaseSync['prepare']>>();
    const run = (sql: string, ...values: (string | number | null)[]): number => {
      let statement = prepared.get(sql);
      if (!statement) {
        statement = database.prepare(sql);
        prepared.set(sql, statement);
      }
      return Number(statement.run(...values).lastInsertRowid);
    };
    /** Number of a word in its table, put there if it is new. */
    const numbers = new Map<string, number>();
    const numberOf = (table: string, column: string, word: string): number => {
      const key = `${table}\0${word}`;
      let number = numbers.get(key);
      if (number === undefined) {
        number = run(`INSERT INTO ${table} (${column}) VALUES (?)`, word);
        numbers.set(key, number);
      }
      return number;
    };
    for (const one of packages) register(one, timestamp, run, numberOf);
    // Of those that are there: a conflict of two installed packages cannot occur, but pkg's own rows name packages.
    database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
  } finally {
    database.close();
  }
}

function register(
  { manifest, automatic, repository, configFiles }: InstalledPackage,
  timestamp: number,
  run: (sql: string, ...values: (string | number | null)[]) => number,
  numberOf: (table: string, column: string, word: string) => number,
): void {
  const id = run(
    `INSERT INTO packages (origin, name, version, comment, desc, message, arch, maintainer, www, prefix, flatsize, automatic,
      licenselogic, time, manifestdigest, dep_formula, vital) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    manifest.origin,
    manifest.name,
    manifest.version,
    manifest.comment,
    manifest.description,
    manifest.message ?? null,
    manifest.abi,
    manifest.maintainer,
    manifest.www,
    manifest.prefix,
    manifest.flatsize,
    automatic ? 1 : 0,
    LICENSE_LOGIC[manifest.licenseLogic],
    timestamp,
    manifestDigest(manifest),
    manifest.dependencyFormula ?? null,
    manifest.vital ? 1 : 0,
  );
  for (const { name, origin, version } of manifest.dependencies) {
    run(
      'INSERT OR IGNORE INTO deps (origin, name, version, package_id) VALUES (?, ?, ?, ?)',
      origin,
      name,
      version,
      id,
    );
  }
  for (const [path, { sum }] of manifest.files) {
    run('INSERT INTO files (path, sha256, package_id) VALUES (?, ?, ?)', path, sum, id);
  }
  for (const [path, content] of configFiles) {
    run('INSERT INTO config_files (path, content, package_id) VALUES (?, ?, ?)', path, content, id);
  }
  for (const path of manifest.directories) {
    const directory = numberOf('directories', 'path', path);
    run('INSERT INTO pkg_directories (package_id, directory_id, try) VALUES (?, ?, 1)', id, directory);
  }
  const named = {
    categories: manifest.categories,
    licenses: manifest.licenses,
    users: manifest.users,
    groups: manifest.groups,
  };
  for (const { table, link, column } of NAMED) {
    for (const word of new Set(named[table])) {
      run(`INSERT INTO ${link} (package_id, ${column}) VALUES (?, ?)`, id, numberOf(table, 'name', word));
    }
  }
  for (const [name, script] of manifest.scripts) {
    const type = SCRIPT_TYPES[name];
    if (type === undefined) continue;
    run(
      'INSERT INTO pkg_script (script_id, package_id, type) VALUES (?, ?, ?)',
      numberOf('script', 'script', script),
      id,
      type,
    );
  }
  for (const [name, scripts] of manifest.luaScripts) {
    const type = LUA_TYPES.indexOf(name);
    if (type < 0) continue;
    for (const script of scripts) {
      run(
        'INSERT OR IGNORE INTO pkg_lua_script (lua_script_id, package_id, type) VALUES (?, ?, ?)',
        numberOf('lua_script', 'lua_script', script),
        id,
        type,
      );
    }
  }
  for (const [option, value] of manifest.options) {
    run(
      'INSERT INTO pkg_option (package_id, option_id, value) VALUES (?, ?, ?)',
      id,
      numberOf('option', 'option', option),
      value,
    );
  }
  for (const [table, names] of [
    ['pkg_shlibs_required', manifest.shlibsRequired],
    ['pkg_shlibs_provided', manifest.shlibsProvided],
  ] as const) {
    for (const name of new Set(names)) {
      run(`INSERT INTO ${table} (package_id, shlib_id) VALUES (?, ?)`, id, numberOf('shlibs', 'name', name));
    }
  }
  const annotations = new Map([...manifest.annotations, ['repository', repository], ['repo_type', 'binary']]);
  for (const [tag, value] of annotations) {
    run(
      'INSERT INTO pkg_annotation (package_id, tag_id, value_id) VALUES (?, ?, ?)',
      id,
      numberOf('annotation', 'annotation', tag),
      numberOf('annotation', 'annotation', value),
    );
  }
  for (const [word, names] of [
    ['provide', manifest.provides],
    ['require', manifest.requires],
  ] as const) {
    for (const name of new Set(names)) {
      run(
        `INSERT INTO pkg_${word}s (package_id, ${word}_id) VALUES (?, ?)`,
        id,
        numberOf(`${word}s`, word, name),
      );
    }
  }
}
