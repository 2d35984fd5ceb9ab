/** Roles of the local account: their keys, and what their policies let them do. */
import { createHash } from 'node:crypto';
import { ServiceError } from '../front/service-error.ts';
import { allowed, type Question, type Statement } from './policy.ts';

/** Keys as AWS STS hands them to a function's environment. */
export interface RoleCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/** A question and its answer. */
export interface Decision extends Question {
  readonly role: string;
  readonly allowed: boolean;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** How a service says no. */
export interface Refusal {
  readonly code: string;
  readonly status: number;
  /** What stands before the reason. */
  readonly prefix?: string;
}

/** Amazon EC2 API Reference, "Error codes"; Amazon S3 API Reference, "Error responses"; "Common errors" of the JSON services. */
export const REFUSALS = {
  ec2: {
    code: 'UnauthorizedOperation',
    status: 403,
    prefix: 'You are not authorized to perform this operation. ',
  },
  s3: { code: 'AccessDenied', status: 403 },
  json: { code: 'AccessDeniedException', status: 400 },
  'execute-api': { code: 'ForbiddenException', status: 403 },
  // Step Functions reports what its own client could not do by this name.
  lambda: { code: 'AWSLambdaException', status: 403 },
} as const satisfies Record<string, Refusal>;

/**
 * A Lambda function's token is this long, more or less; it is part of each URL that the function signs, and those are part of
 * user-data, which has a limit.
 */
const TOKEN_CHARACTERS = 1000;

export class Iam {
  readonly #accountId: string;
  readonly #now: () => number;
  /** By access key. */
  readonly #roles = new Map<string, { readonly name: string; readonly credentials: RoleCredentials }>();
  readonly #policies = new Map<string, readonly Statement[]>();
  /** Every question about a role that has a policy. */
  readonly decisions: Decision[] = [];

  constructor({ accountId, now }: { readonly accountId: string; readonly now: () => number }) {
    this.#accountId = accountId;
    this.#now = now;
  }

  /** Keys of a role, the same after a restart: URLs that were signed with them still hold. They keep nobody out of a laptop's cloud. */
  credentialsOf(role: string): RoleCredentials {
    const made = (what: string, encoding: 'hex' | 'base64') =>
      createHash('sha512').update(`${this.#accountId}/${role}/${what}`).digest(encoding);
    const token = Array.from({ length: 12 }, (_, index) => made(`token ${index}`, 'base64')).join('');
    const credentials = {
      // Temporary keys begin with ASIA (IAM User Guide, "Unique identifiers").
      accessKeyId: `ASIA${made('id', 'hex').slice(0, 16).toUpperCase()}`,
      secretAccessKey: made('secret', 'base64').slice(0, 40),
      sessionToken: token.slice(0, TOKEN_CHARACTERS),
    };
    this.#roles.set(credentials.accessKeyId, { name: role, credentials });
    return credentials;
  }

  /** Keys that were handed out for a role. */
  keys(accessKey: string): RoleCredentials | undefined {
    return this.#roles.get(accessKey)?.credentials;
  }

  /** Gives a role its policy. A role without one may do everything, as the owner of the laptop may. */
  setPolicy(role: string, statements: readonly Statement[]): void {
    this.#policies.set(role, statements);
  }

  /** The role whose key this is; undefined for the owner's. */
  roleOf(accessKey: string): string | undefined {
    return this.#roles.get(accessKey)?.name;
  }

  /** Who calls, as GetCallerIdentity and refusals name them. */
  arnOf(accessKey: string): string {
    const role = this.roleOf(accessKey);
    return role === undefined ? `arn:aws:iam::${this.#accountId}:user/${accessKey}` : this.#sessionOf(role);
  }

  /** Throws the service's refusal unless the role's policy allows all that is asked. */
  authorize(role: string | undefined, refusal: Refusal, questions: () => readonly Question[]): void {
    const statements = this.statementsOf(role);
    if (role === undefined || statements === undefined) return;
    for (const question of questions()) {
      const yes = allowed(statements, question);
      this.decisions.push({ ...question, role, allowed: yes, at: this.#now() });
      if (!yes) throw this.refused(role, refusal, question);
    }
  }

  statementsOf(role: string | undefined): readonly Statement[] | undefined {
    return role === undefined ? undefined : this.#policies.get(role);
  }

  /** IAM User Guide, "Access denied error messages": who, what, on what, and which kind of policy is missing. */
  refused(
    role: string,
    { code, status, prefix = '' }: Refusal,
    { action, resource }: Question,
  ): ServiceError {
    return new ServiceError(
      code,
      `${prefix}User: ${this.#sessionOf(role)} is not authorized to perform: ${action} on resource: ${resource} because no identity-based policy allows the ${action} action`,
      status,
    );
  }

  #sessionOf(role: string): string {
    return `arn:aws:sts::${this.#accountId}:assumed-role/${role}/local`;
  }
}
