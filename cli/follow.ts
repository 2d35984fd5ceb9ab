import type { BuildDetails } from '../core/api/schemas.ts';
import type { Api } from './api.ts';
import { progressLines, showBuilds } from './build-progress.ts';
import { endText } from './build-text.ts';
import { detachOnInterrupt } from './detach.ts';
import { EXIT } from './exit.ts';
import type { Environment } from './find-api.ts';
import { followBuild } from './follow-build.ts';
import { isLive, isWatched, print, printJsonLine, say } from './terminal.ts';

interface FollowOptions {
  readonly json: boolean;
  /** The builds were started a moment ago. */
  readonly fresh?: boolean;
  readonly environment: Environment;
}

/**
 * Follows builds until all have ended, or Ctrl-C: a live list on a terminal, a line for each change otherwise, NDJSON with `--json`. Then
 * the AMIs alone go to standard output, in the factory's own region. Returns the exit code.
 */
export async function follow(
  api: Api,
  ids: readonly string[],
  { json, fresh = false, environment }: FollowOptions,
): Promise<number> {
  using interrupt = detachOnInterrupt();
  const { signal } = interrupt;
  const builds = ids.map((id) => ({
    id,
    views: followBuild(api, id, {
      signal,
      fresh,
      trouble: (error) => say(`${id}: ${error.message.split('\n')[0]}; trying again`),
    }),
  }));
  const last = json
    ? await Promise.all(builds.map(({ views }) => tellJson(views)))
    : isLive(environment)
      ? await showBuilds(builds)
      : await Promise.all(builds.map(({ views }) => tellLines(views)));
  const running = ids.filter((_, index) => {
    const build = last[index];
    return build === undefined || build.status === 'RUNNING';
  });
  for (const [index, build] of last.entries()) {
    if (build === undefined || build.status === 'RUNNING') continue;
    if (json) printJsonLine({ event: 'ended', build: ids[index], details: build });
    else say(`\n${endText(build).join('\n')}`);
    if (!json && !isWatched() && build.result !== null) print(build.result.imageId);
  }
  if (running.length > 0) {
    if (json) for (const build of running) printJsonLine({ event: 'detached', build });
    say(detachedText(running));
    return EXIT.detached;
  }
  return last.every((build) => build?.status === 'SUCCEEDED') ? EXIT.ok : EXIT.problems;
}

const detachedText = (running: readonly string[]): string => {
  const names = running.join(' ');
  return [
    `\nDetached. ${running.length === 1 ? 'The build goes on' : `${running.length} builds go on`}:`,
    `  foundry show --follow ${names}    to come back to it`,
    `  foundry logs --follow ${running[0]}    to read its console`,
    `  foundry abort ${names}    to stop it; all it made goes`,
  ].join('\n');
};

async function tellLines(views: AsyncIterable<BuildDetails>): Promise<BuildDetails | undefined> {
  for await (const told of progressLines(views, () => new Date())) {
    if ('last' in told) return told.last;
    say(told.line);
  }
  return undefined;
}

async function tellJson(views: AsyncIterable<BuildDetails>): Promise<BuildDetails | undefined> {
  const shown = new Map<string, string>();
  let last: BuildDetails | undefined;
  for await (const build of views) {
    last = build;
    for (const stage of build.stages) {
      if ((shown.get(stage.name) ?? 'waiting') === stage.state) continue;
      shown.set(stage.name, stage.state);
      printJsonLine({ event: 'stage', build: build.id, at: new Date().toISOString(), stage });
    }
  }
  return last;
}
