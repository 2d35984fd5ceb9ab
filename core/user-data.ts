/** What the bootstrap is filled with; the URLs are presigned, so they are secrets. */
export interface Bootstrap {
  readonly payloadUrl: string;
  readonly payloadSha256: string;
  readonly jobUrl: string;
  readonly jobSha256: string;
  readonly volume: string;
  readonly build: string;
}

/** RunInstances: user data is limited to 16 KB before base64. */
const USER_DATA_LIMIT = 16 * 1024;

const placeholder = {
  payloadUrl: '@PAYLOAD_URL@',
  payloadSha256: '@PAYLOAD_SHA256@',
  jobUrl: '@JOB_URL@',
  jobSha256: '@JOB_SHA256@',
  volume: '@VOLUME@',
  build: '@BUILD@',
} as const satisfies Record<keyof Bootstrap, string>;

/** A POSIX sh word that is exactly the value: single quotes keep everything but a single quote (sh(1), Quoting). */
export const shellQuote = (value: string): string => `'${value.replaceAll("'", "'\\''")}'`;

/** Fills worker/bootstrap.sh. Throws RangeError when a placeholder is not there once, or the result is over 16 KB. */
export function renderUserData(template: string, bootstrap: Bootstrap): string {
  const fields = new Map(
    (Object.keys(placeholder) as (keyof Bootstrap)[]).map((field) => [placeholder[field] as string, field]),
  );
  for (const mark of fields.keys()) {
    const count = template.split(mark).length - 1;
    if (count !== 1) throw new RangeError(`bootstrap has ${count} of ${mark}, not one`);
  }
  // In one pass, so that a value that looks like a placeholder stays what it is.
  const text = template.replaceAll(/@[A-Z0-9_]+@/g, (mark) => {
    const field = fields.get(mark);
    return field === undefined ? mark : shellQuote(bootstrap[field]);
  });
  const size = Buffer.byteLength(text);
  if (size > USER_DATA_LIMIT)
    throw new RangeError(`user data is ${size} bytes, over the limit of ${USER_DATA_LIMIT}`);
  return text;
}
