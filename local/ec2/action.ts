import { ServiceError, unsupported } from '../front/service-error.ts';
import type { ActionName } from './throttle.ts';

/** What a handler knows about the call besides its input. */
export interface Call {
  /** Access key of the signature. */
  accessKey: string;
}

export interface Action {
  name: ActionName;
  /** Members that the handler reads: dotted paths, lists transparent; `X.*` = X and all below it. */
  reads: readonly string[];
  run(input: never, call: Call): object | undefined | Promise<object | undefined>;
}

/** Declares an action; `Input` and `Output` are the SDK's own types. */
export function action<Input extends object, Output extends object | undefined>(
  name: ActionName,
  reads: readonly string[],
  run: (input: Input, call: Call) => Output | Promise<Output>,
): Action {
  return { name, reads: ['DryRun', ...reads], run: run as Action['run'] };
}

/** Refuses input members that the handler does not read: an ignored member is a lie about AWS. */
export function checkMembers(declared: Action, input: Record<string, unknown>): void {
  const walk = (value: unknown, path: string): void => {
    if (declared.reads.includes(path) || declared.reads.includes(`${path}.*`)) return;
    if (Array.isArray(value)) {
      for (const item of value) walk(item, path);
    } else if (isStructure(value)) {
      for (const [member, item] of Object.entries(value)) walk(item, `${path}.${member}`);
    } else {
      throw unsupported(`${declared.name}'s ${path}`);
    }
  };
  for (const [member, value] of Object.entries(input)) walk(value, member);
}

const isStructure = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !(value instanceof Date) && !Buffer.isBuffer(value);

/** EC2 API Reference, "Error codes": DryRunOperation, "The user has the required permissions". */
export const dryRun = (): ServiceError =>
  new ServiceError('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412);
