import { executionNames } from '../core/api/schemas.ts';
import { CommandProblem, EXIT } from './exit.ts';
import type { Whereabouts } from './find-api.ts';

/** The account of the local cloud; nobody has it on AWS. */
const LOCAL_ACCOUNT = '000000000000';

/**
 * A build as people name it: by its id, or by the ARN of its execution, as the cause of a failure does. An ARN also says where the
 * factory is: `arn:aws:states:<region>:<account>:execution:<stack>-build-image:<id>`.
 */
export function readBuild(text: string): { readonly id: string; readonly where: Whereabouts } {
  if (!text.startsWith('arn:')) {
    if (executionNames.test(text)) return { id: text, where: {} };
    throw new CommandProblem(
      `${text} is not the id of a build`,
      'give an id such as web-0861ae9e7de4, or the ARN of an execution; foundry builds lists them.',
      EXIT.usage,
    );
  }
  const [, region, account, machine, id] =
    /^arn:[a-z-]+:states:([a-z0-9-]+):(\d{12}):execution:([\w-]+):(.+)$/.exec(text) ?? [];
  if (id === undefined || !executionNames.test(id)) {
    throw new CommandProblem(
      `${text} is not the ARN of an execution`,
      'give it as arn:aws:states:<region>:<account>:execution:<state machine>:<build>, or the id of the build alone.',
      EXIT.usage,
    );
  }
  if (account === LOCAL_ACCOUNT) return { id, where: { local: true } };
  const [, stack] = /^(.+)-build-(?:image|matrix)$/.exec(machine ?? '') ?? [];
  return { id, where: { awsRegion: region, ...(stack === undefined ? {} : { stack }) } };
}
