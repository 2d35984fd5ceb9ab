import type { Api } from './api.ts';
import { EXIT } from './exit.ts';
import type { Environment } from './find-api.ts';
import { follow } from './follow.ts';
import { print, printJsonLine, say } from './terminal.ts';

interface ResumeOptions {
  readonly json?: boolean;
  readonly follow?: boolean;
  readonly environment: Environment;
}

/** Starts builds that failed or were stopped once more. Prints the names of the builds that run now, or have succeeded. */
export async function resume(
  api: Api,
  ids: readonly string[],
  { json = false, follow: follows = false, environment }: ResumeOptions,
): Promise<number> {
  const resumed: string[] = [];
  for (const id of ids) {
    const started = await api.call('resume-build', { params: { id } });
    resumed.push(started.id);
    if (json) printJsonLine({ event: 'started', build: started.id, ...started });
    else {
      if (started.status === 'SUCCEEDED') say(`${started.id} has succeeded: there is nothing to resume.`);
      else say(`${id}: goes on as ${started.id}`);
      if (!follows) print(started.id);
    }
  }
  return follows ? await follow(api, resumed, { json, fresh: true, environment }) : EXIT.ok;
}
