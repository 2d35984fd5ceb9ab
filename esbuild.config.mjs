// Makes dist/: one self-contained bundle per Lambda function, and the worker's payload.
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import * as tar from 'tar';

const root = fileURLToPath(new URL('.', import.meta.url));

/**
 * client-ec2 keeps 3,400 schemas in one file with computed keys (`[_Name]: …`), which stop tree shaking.
 * Writing the literal instead lets esbuild drop every schema that no command of ours reaches. Registering each service
 * error keeps all their classes; unregistered, an error arrives as the service's base exception with the same `name`, which is
 * all that our code and the state machine look at.
 */
const literalSchemaKeys = {
  name: 'literal-schema-keys',
  setup(build) {
    build.onLoad({ filter: /client-[\w-]+\/dist-es\/schemas\/schemas_\d+\.js$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const names = new Map([...text.matchAll(/^const (_\w+) = "([^"]*)";/gm)].map((m) => [m[1], m[2]]));
      const contents = text
        .replace(/\[(_\w+)\]:/g, (whole, key) =>
          names.has(key) ? `${JSON.stringify(names.get(key))}:` : whole,
        )
        .replace(/^n0_registry\.registerError\(.*\);$/gm, '');
      return { contents, loader: 'js' };
    });
  },
};

const common = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  sourcemap: true,
  sourcesContent: false,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  mainFields: ['module', 'main'],
  conditions: ['module'],
  legalComments: 'none',
  logLevel: 'warning',
  banner: {
    js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);",
  },
};

/** The functions of a folder; their names are unique over all of them. */
async function lambdas(folder) {
  const files = await readdir(`${root}functions/${folder}`);
  return files
    .filter((f) => f.endsWith('.lambda.ts'))
    .map((f) => ({
      in: `functions/${folder}/${f}`,
      out: `${f.replace(/\.lambda\.ts$/, '')}/index`,
    }));
}

const started = Date.now();
await rm(`${root}dist`, { recursive: true, force: true });
const functions = await esbuild.build({
  ...common,
  entryPoints: [...(await lambdas('steps')), ...(await lambdas('events')), ...(await lambdas('api'))],
  outdir: 'dist/functions',
  outExtension: { '.js': '.mjs' },
  plugins: [literalSchemaKeys],
  // worker/bootstrap.sh travels inside the launch function.
  loader: { '.sh': 'text' },
  // In Lambda the credentials are always in the environment: SSO, profiles and their parsers stay out.
  alias: { '@aws-sdk/credential-provider-node': './adapters/aws/environment-credentials.ts' },
  metafile: true,
});
await writeFile(`${root}dist/metafile.json`, JSON.stringify(functions.metafile));
await esbuild.build({
  ...common,
  // What the Linux worker runs beside its shell program.
  entryPoints: [
    ...['makefs', 'manifest', 'pwd-mkdb'].map((name) => ({ in: `image/${name}.ts`, out: name })),
    { in: 'packages/pkg.ts', out: 'pkg' },
  ],
  outdir: 'dist/image',
  outExtension: { '.js': '.mjs' },
  sourcemap: false,
});

// The payload: what the worker fetches. Equal sources give equal bytes, so that its SHA-256 changes only with its content.
const payload = `${root}dist/payload/worker`;
await mkdir(payload, { recursive: true });
await cp(`${root}worker`, payload, { recursive: true, filter: (path) => !path.endsWith('.md') });
await cp(`${root}dist/image`, payload, { recursive: true });
const files = (await readdir(payload, { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile())
  .map((entry) => `${entry.parentPath}/${entry.name}`.slice(`${root}dist/payload/`.length))
  .sort();
const archive = `${root}dist/worker-payload.tar.gz`;
await tar.create(
  { file: archive, cwd: `${root}dist/payload`, gzip: { level: 9 }, portable: true, mtime: new Date(0) },
  files,
);
const sha256 = createHash('sha256')
  .update(await readFile(archive))
  .digest('hex');
await writeFile(`${root}dist/worker-payload.sha256`, `${sha256}\n`);

for (const [file, { bytes }] of Object.entries(functions.metafile.outputs)) {
  if (file.endsWith('.mjs')) console.log(`${(bytes / 1000).toFixed(0).padStart(5)} kB  ${file}`);
}
console.log(`bundled in ${Date.now() - started} ms`);
