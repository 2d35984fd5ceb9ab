import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Accounts } from '../../packages/accounts.ts';
import { ImageTree } from '../../packages/image-tree.ts';
import { luaPattern } from '../../packages/lua-pattern.ts';
import { runLua } from '../../packages/lua-scripts.ts';
import { parseLua } from '../../packages/lua-syntax.ts';
import type { ScriptContext } from '../../packages/shell-commands.ts';
import { runShell } from '../../packages/shell-run.ts';
import { parseShell, UnknownShell } from '../../packages/shell-syntax.ts';

let directory: string;
let tree: ImageTree;
let context: ScriptContext;
let notes: string[];
let modules: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ami-foundry-shell-'));
  mkdirSync(join(directory, 'tree/etc'), { recursive: true });
  writeFileSync(join(directory, 'tree/etc/master.passwd'), 'root::0:0::0:0:Charlie:/root:/bin/sh\n');
  writeFileSync(join(directory, 'tree/etc/group'), 'wheel:*:0:root\nmail:*:6:\n');
  writeFileSync(join(directory, 'tree/etc/shells'), '/bin/sh\n');
  writeFileSync(
    join(directory, 'spec'),
    './etc/shells type=file uid=0 gid=0 mode=0644 flags=none time=1.0\n',
  );
  tree = new ImageTree(join(directory, 'tree'), join(directory, 'spec'), 1000);
  notes = [];
  modules = 0;
  context = {
    tree,
    accounts: new Accounts(tree),
    note: (text) => notes.push(text),
    rehashCertificates: () => {},
    indexKernelModules: () => {
      modules++;
    },
  };
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const sh = (script: string, ...positional: string[]): number =>
  runShell(script, context, new Map([['PKG_PREFIX', '/usr/local']]), positional);
const read = (path: string): string => readFileSync(join(directory, 'tree', path), 'utf8');

test.each([
  ['true', 0],
  ['false', 1],
  ['! false', 0],
  ['false || true', 0],
  ['true && false', 1],
  ['exit 3', 3],
  ['if false; then exit 1; elif true; then exit 4; else exit 2; fi', 4],
  ['case /etc/x in /usr/*|/var/*) exit 1 ;; /*) exit 5 ;; esac', 5],
  ['for a in 1 2 3; do [ $a = 2 ] && exit 6; done', 6],
  ['f() { return 7; }; f; exit $?', 7],
  [`x=abc.sample; [ "\${x%.sample}" = abc ] && exit 8`, 8],
  [`x=/a/b/c; [ \${x##*/} = c -a \${x%/*} = /a/b ] && exit 9`, 9],
  ['set -- one two; [ $# -eq 2 ] && [ "$2" = two ] && exit 10', 10],
  [`[ "\${UNSET:-x}" = x ] && [ -z "$UNSET" ] && exit 11`, 11],
  [`: \${NEW:=value}; [ "$NEW" = value ] && exit 12`, 12],
  ['set -e; false; exit 1', 1],
  ['set -e; false || true; if false; then :; fi; exit 13', 13],
  ['echo a b | grep -qw b && exit 14', 14],
  ['(exit 15)', 15],
  ['[ \'a b\' = "a b" ] && exit 16', 16],
  ['read_over() { while :; do x=$(cat /etc/passwd); done; }\nexit 17', 17],
])('%s ends with %i', (script, status) => {
  expect(sh(script)).toBe(status);
});

test.each([
  'curl -O http://example.org/x',
  '/usr/local/bin/anything',
  'x=$(id -u)',
  'echo `date`',
  'while true; do :; done',
  'cat <<EOF\nx\nEOF',
  'sleep 5 &',
  'rm -rf /usr/local',
  'chmod -x /etc/*',
  'eval "$x"',
  '. /etc/rc.subr',
  'pw usermod root -s /bin/csh',
  'ln /etc/shells /etc/other',
  'test -O /etc/shells',
  'service sshd restart',
])('refuses %s', (script) => {
  expect(() => sh(script)).toThrow(UnknownShell);
});

test('@shell: the list of shells gets a line, once', () => {
  const script = `case "bin/bash" in
  /*) file="bin/bash" ;;
  *) file="/usr/local/bin/bash" ;;
  esac
  cp \${PKG_ROOTDIR}/etc/shells \${PKG_ROOTDIR}/etc/shells.bak
  (grep -v "^\${file}$" \${PKG_ROOTDIR}/etc/shells.bak; echo \${file}) > \${PKG_ROOTDIR}/etc/shells
  rm -f \${PKG_ROOTDIR}/etc/shells.bak`;
  expect(sh(script)).toBe(0);
  expect(sh(script)).toBe(0);
  expect(read('etc/shells')).toBe('/bin/sh\n/usr/local/bin/bash\n');
  expect(tree.describe('/etc/shells')).toMatchObject({ mode: 0o644, seconds: 1 });
  expect(tree.lstat('/etc/shells.bak')).toBeUndefined();
});

test('accounts are made as pw(8) makes them, and not twice', () => {
  const script = `PW=/usr/sbin/pw
if ! \${PW} groupshow app >/dev/null 2>&1; then
  \${PW} groupadd app -g 900
fi
if ! \${PW} usershow app >/dev/null 2>&1; then
  \${PW} useradd app -u 900 -g 900 -L daemon -c "An app & more" -d /var/db/app -s /usr/sbin/nologin
fi
if ! \${PW} groupshow mail | grep -qw app; then
  \${PW} groupmod mail -m app
fi
install -d -g app -o app /var/db/app`;
  expect(sh(script)).toBe(0);
  expect(sh(script)).toBe(0);
  context.accounts.save();
  expect(read('etc/master.passwd').split('\n')[1]).toBe(
    'app:*:900:900:daemon:0:0:An app & more:/var/db/app:/usr/sbin/nologin',
  );
  expect(read('etc/passwd')).toContain('app:*:900:900:An app & more:/var/db/app:/usr/sbin/nologin\n');
  expect(read('etc/group')).toBe('wheel:*:0:root\nmail:*:6:app\napp:*:900:\n');
  expect(tree.describe('/var/db/app')).toMatchObject({
    type: 'dir',
    owner: 'app',
    group: 'app',
    mode: 0o755,
  });
});

test('home directories as the framework makes them', () => {
  const script = `pw groupadd app -g 900
pw useradd app -u 900 -g 900  -c "An app" -d /var/db/app -s /usr/sbin/nologin
if [ -n "\${PKG_ROOTDIR}" ] && [ "\${PKG_ROOTDIR}" != "/" ]; then
  HOMEDIR="\${PKG_ROOTDIR}//var/db/app"
  MDBDIR="-N \${PKG_ROOTDIR}/etc/"
else
  HOMEDIR="/var/db/app"
  MDBDIR=""
fi
install \${MDBDIR} -d -g app -o app \${HOMEDIR}`;
  expect(sh(script)).toBe(0);
  expect(tree.describe('/var/db/app')).toMatchObject({ type: 'dir', owner: 'app', group: 'app' });
});

test('a number that is taken is an error', () => {
  expect(() => sh('pw groupadd other -g 6')).toThrow(/belongs to mail/);
});

test('files and links of nginx', () => {
  sh('mkdir -p -m 755 /usr/local/www/nginx-dist');
  expect(
    sh('if [ ! -d /usr/local/www/nginx/ ] ; then ln -fs /usr/local/www/nginx-dist /usr/local/www/nginx; fi'),
  ).toBe(0);
  expect(sh('chmod a-w /usr/local/www/nginx-dist')).toBe(0);
  expect(readlinkSync(join(directory, 'tree/usr/local/www/nginx'))).toBe('/usr/local/www/nginx-dist');
  expect(tree.describe('/usr/local/www/nginx-dist')).toMatchObject({ mode: 0o555 });
  // The link leads where it would lead on the machine, not on this one.
  expect(sh('touch /usr/local/www/nginx/index.html')).toBe(0);
  expect(read('usr/local/www/nginx-dist/index.html')).toBe('');
});

test('the scripts of base packages', () => {
  expect(
    sh(
      `pwd_mkdb -i -p -d  \${PKG_ROOTDIR}/etc \${PKG_ROOTDIR}/etc/master.passwd\nservices_mkdb \${CAP_MKDB_ENDIAN} -q -o \${PKG_ROOTDIR}/var/db/services.db \${PKG_ROOTDIR}/`,
    ),
  ).toBe(0);
  expect(sh(`/usr/sbin/kldxref \${PKG_ROOTDIR}/boot/kernel`)).toBe(0);
  expect(sh(`/usr/sbin/certctl -D\${PKG_ROOTDIR}/ \${PKG_METALOG:+-U -M $PKG_METALOG} rehash`)).toBe(0);
  expect(sh(`cap_mkdb \${PKG_ROOTDIR}/etc/login.conf; chmod 1777 \${PKG_ROOTDIR}/etc`)).toBe(1);
  expect(modules).toBe(1);
});

test("Postfix's own installer", () => {
  tree.writeText(
    '/usr/local/etc/postfix/main.cf',
    'queue_directory = /var/spool/postfix\nmail_owner = postfix\nsetgid_group =\n  maildrop\n',
    tree.attributes(0o644),
  );
  tree.writeText('/usr/local/sbin/postdrop', '', tree.attributes(0o755));
  tree.writeText(
    '/usr/local/libexec/postfix/postfix-files',
    '#\n$config_directory:d:root:-:755:u\n$queue_directory:d:root:-:755:uc\n$queue_directory/maildrop:d:$mail_owner:$setgid_group:730:uc\n' +
      '$command_directory/postdrop:f:root:$setgid_group:2755:u\n$html_directory/a.html:f:root:-:644\n$newaliases_path:l:$sendmail_path\n',
    tree.attributes(0o644),
  );
  const script = `ask() {
  read -p "\${1} [\${2}]? " answer
}
yesno() {
  while :; do
    answer=$(ask "\${1}" "\${2}")
  done
}
DAEMONDIR="/usr/local/libexec/postfix"
if [ "$2" = "POST-INSTALL" ]; then
  /bin/sh \${DAEMONDIR}/post-install tempdir=/tmp \\
    daemon_directory=\${DAEMONDIR} \\
    html_directory=no \\
    upgrade-package
fi`;
  expect(sh(script, 'postfix-3.10', 'POST-INSTALL')).toBe(0);
  expect(tree.describe('/var/spool/postfix/maildrop')).toMatchObject({
    type: 'dir',
    mode: 0o730,
    owner: 'postfix',
    group: 'maildrop',
  });
  expect(tree.describe('/usr/local/sbin/postdrop')).toMatchObject({ mode: 0o2755, group: 'maildrop' });
});

test('any text is read or refused, within bounds', () => {
  const pieces = fc.constantFrom(
    'if ',
    'then ',
    'fi',
    ';',
    '\n',
    '$(',
    '`',
    '"',
    "'",
    `\${`,
    '}',
    'case ',
    ' in ',
    ') ',
    'esac',
    '|',
    '&&',
    '(',
    '!',
    'x=',
    '\\',
    '>',
    '<<',
    ' a',
    'do ',
    'done',
    'while ',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 })), { maxLength: 30 }), (parts) => {
      try {
        parseShell(parts.join(''));
      } catch (error) {
        expect(error).toBeInstanceOf(UnknownShell);
      }
    }),
    { numRuns: 1000 },
  );
});

const OF = { name: 'app', prefix: '/usr/local' };
const SAMPLE = `  sample_file = pkg.prefixed_path(arg[1])
  if arg[2] == nil then
    target_file = string.gsub(sample_file,'%.sample$', "")
  else
    target_file = pkg.prefixed_path(arg[2])
  end
  if not pkg.stat(target_file) then
    pkg.copy(sample_file, target_file)
  end`;

test('@sample in Lua copies with mode and times, and spares what is there', () => {
  tree.writeText('/usr/local/etc/a.conf.sample', 'new\n', { ...tree.attributes(0o640), seconds: 7 });
  runLua(`-- args: etc/a.conf.sample\n${SAMPLE}`, OF, context);
  runLua(`-- args: etc/a.conf.sample etc/b.conf\n${SAMPLE}`, OF, context);
  runLua(`-- args: etc/a.conf.sample /etc/shells\n${SAMPLE}`, OF, context);
  expect(read('usr/local/etc/a.conf') + read('usr/local/etc/b.conf')).toBe('new\nnew\n');
  expect(tree.describe('/usr/local/etc/b.conf')).toMatchObject({ mode: 0o640, seconds: 7 });
  expect(read('etc/shells')).toBe('/bin/sh\n');
});

test('@sample as it was, with the arguments in the text', () => {
  tree.writeText('/usr/local/etc/c.conf.sample', 'old\n', tree.attributes(0o600));
  const script = `  sample_file = pkg.prefixed_path("etc/c.conf.sample")
  if "1" == 2 then
    target_file = pkg.prefixed_path("")
  else
    target_file = string.gsub(sample_file,'%.sample$', "")
  end
  if not pkg.stat(target_file) then
    pkg.copy(sample_file, target_file)
  end`;
  runLua(script, OF, context);
  expect(read('usr/local/etc/c.conf')).toBe('old\n');
});

test('@touch, @shell and functions in Lua', () => {
  runLua(
    '-- args: a b\nfor i=1, #arg do\n  assert(io.open(pkg.prefixed_path(arg[i]), "a"):close())\nend',
    OF,
    context,
  );
  expect(tree.list('/usr/local')).toEqual(['a', 'b']);
  runLua(
    `local function add(shell)
  local f = io.open("/etc/shells", "a")
  f:write(shell .. "\\n")
  f:close()
end
for _, name in ipairs({ "zsh", 'fish' }) do
  local path = pkg.prefixed_path("bin/" .. name)
  if not (path:match("fish$")) or false then add(path) end
end
--[[ over ]] if pkg.stat("/etc").type == "dir" and #arg == 0 then os.remove(pkg.prefixed_path("a")) end`,
    OF,
    context,
  );
  expect(read('etc/shells')).toBe('/bin/sh\n/usr/local/bin/zsh\n');
  expect(tree.list('/usr/local')).toEqual(['b']);
});

test.each([
  'pkg.exec({"/bin/sh", "-c", "x"})',
  'os.execute("y")',
  `${SAMPLE}\nos.execute("/etc/passwd")`,
  'os.remove("/etc/group")',
  'io.popen("x")',
  'while true do end',
  'x = io.open("/etc/passwd", "r")',
  'for i = 1, 1000000000 do end',
  'goto a',
  'require("x")',
])('refuses the Lua of %j', (script) => {
  tree.writeText('/usr/local/etc/a.conf.sample', 'new\n', tree.attributes(0o640));
  expect(() => runLua(`-- args: etc/a.conf.sample\n${script}`, OF, context)).toThrow();
});

test('any Lua is read or refused, within bounds', () => {
  const words = `if |then |end |for |in |=|(|)|{|}|[|]|"|'|[[|..|#|not |x|.|:|,|local |function |return `;
  const pieces = fc.constantFrom(...words.split('|'));
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 })), { maxLength: 30 }), (parts) => {
      try {
        parseLua(parts.join(''));
      } catch (error) {
        expect(error).toBeInstanceOf(UnknownShell);
      }
    }),
    { numRuns: 1000 },
  );
});

test.each([
  ['%.sample$', 'a.sample', true],
  ['^/usr/', '/usr/x', true],
  ['%d+%-%a', '12-b', true],
  ['[%w_]+%.conf', 'ab_1.conf', true],
  ['%.sample$', 'asample', false],
  ['.-%.so', 'lib.so', true],
])('the pattern %s on %s', (pattern, subject, fits) => {
  expect(luaPattern(pattern).test(subject)).toBe(fits);
});
