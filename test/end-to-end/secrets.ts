import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { GetObjectCommand, paginateListObjectsV2 } from '@aws-sdk/client-s3';
import type { Factory } from './local-build.ts';

/** Something that was written where more people read than may act for the factory. */
interface Writing {
  readonly where: string;
  readonly text: string;
  /** Holds recipes, and with them what recipes say: inputs and outputs of executions. */
  readonly ofRecipes: boolean;
}

export interface Secret {
  readonly what: string;
  readonly text: string;
  /** A recipe says it itself, so an execution's history has it. */
  readonly ofRecipe?: boolean;
}

/** What makes a URL a capability, and what makes a caller the factory. */
export const presigned: readonly Secret[] = [
  { what: 'a signature', text: 'X-Amz-Signature' },
  { what: 'a credential', text: 'X-Amz-Credential' },
  { what: 'a token in a URL', text: 'X-Amz-Security-Token' },
];

/** Secret keys and session tokens of roles. */
export const keysOf = ({ cloud: { iam } }: Factory, roles: readonly string[]): Secret[] =>
  roles.flatMap((role) => {
    const { secretAccessKey, sessionToken } = iam.credentialsOf(role);
    return [
      { what: `the secret key of ${role}`, text: secretAccessKey },
      // A piece of it, free of what a URL would encode.
      {
        what: `the session token of ${role}`,
        text: /[A-Za-z0-9]{24,}/.exec(sessionToken)?.[0] ?? sessionToken,
      },
    ];
  });

/**
 * All that builds have written and all that is kept of them: logs of functions and of the cloud, histories, consoles, and the artifacts,
 * but for the job itself, which is made of URLs.
 */
export async function writings({ stateDirectory, s3 }: Factory, log: readonly string[]): Promise<Writing[]> {
  const found: Writing[] = [{ where: 'log of the cloud', text: log.join('\n'), ofRecipes: false }];
  for (const [folder, ofRecipes] of [
    ['logs', false],
    ['consoles', false],
    ['states', true],
  ] as const) {
    const files = await readdir(join(stateDirectory, folder), { recursive: true, withFileTypes: true });
    for (const file of files.filter((each) => each.isFile())) {
      const path = join(file.parentPath, file.name);
      found.push({ where: path, text: await readFile(path, 'latin1'), ofRecipes });
    }
  }
  const Bucket = 'ami-foundry-artifacts';
  for await (const { Contents = [] } of paginateListObjectsV2({ client: s3 }, { Bucket })) {
    for (const { Key = '' } of Contents) {
      if (Key.endsWith('/job') || Key.startsWith('worker/')) continue;
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
      const bytes = Buffer.from((await Body?.transformToByteArray()) ?? []);
      const text = (Key.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
      found.push({ where: `s3://${Bucket}/${Key}`, text, ofRecipes: false });
    }
  }
  return found;
}

/** Which secrets stand in which writings: as they are, or in base64. */
export const spilled = (writings: readonly Writing[], secrets: readonly Secret[]): string[] =>
  writings.flatMap(({ where, text, ofRecipes }) =>
    secrets
      .filter(({ ofRecipe }) => !(ofRecipes && ofRecipe))
      .filter((secret) => forms(secret.text).some((form) => text.includes(form)))
      .map(({ what }) => `${what} in ${where}`),
  );

/** A text, and what is in the middle of its base64 wherever in a longer text it stands: three bytes make four characters. */
const forms = (text: string): string[] => [
  text,
  ...[0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), Buffer.from(text)])
      .toString('base64')
      .slice(before === 0 ? 0 : 4, -4),
  ),
];
