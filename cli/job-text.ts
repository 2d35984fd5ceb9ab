import { renderJob } from '../core/job.ts';
import { executionName } from '../core/names.ts';
import type { ResolvedBuild } from '../core/resolve-build.ts';

/** Values that travel as base64: docs/architecture.md, "Contract: worker". */
const encoded =
  /^(file\.\d+\.content|edit\.\d+\.(comment|first|last)|user\.\d+\.(comment|keys)|repository\.\d+\.key|script\.\d+\.content)$/;

const secret = /^(user\.\d+\.password|upload\..*)$/;

/**
 * The lines of the job that the worker of a build would get, for people: texts are decoded or counted, secrets left out, and what only the
 * factory can say (deadline, signed URLs) is said to be so.
 */
export async function jobLines(resolved: ResolvedBuild): Promise<string[]> {
  const job = await renderJob(resolved, {
    build: executionName(resolved.recipe.name, resolved.recipeDigest),
    deadline: 0,
    linger: 0,
    upload: { manifest: '', sbom: '' },
    urlOf: async (source) => ('url' in source ? source.url : source.s3),
  });
  return job
    .trimEnd()
    .split('\n')
    .map((line) => {
      const at = line.indexOf('=');
      const [key, value] = [line.slice(0, at), line.slice(at + 1)];
      if (key === 'deadline' || key === 'linger') return `${key}=(set when the build starts)`;
      if (secret.test(key)) return `${key}=(hidden)`;
      return encoded.test(key) ? `${key}=${decoded(value)}` : line;
    });
}

function decoded(base64: string): string {
  const text = Buffer.from(base64, 'base64').toString('utf8');
  return /^[^\p{Cc}]{0,60}$/u.test(text) ? text : `(${Buffer.byteLength(text)} bytes)`;
}
