import { executionName, tagKey } from '../../core/names.ts';
import type { BuildRun, Image, Records } from '../../core/ports.ts';
import { parseRecipe, type Recipe, recipeDigest } from '../../core/recipe.ts';
import { updateServer } from '../../core/update-server.ts';
import { watchReleases } from '../../functions/events/watch-releases.ts';
import { awsError } from '../functions/fake-account.ts';
import { keyPrint, MIRROR, MirrorHistory, UPDATES } from './mirror-history.ts';

export interface StartedBuild {
  readonly name: string;
  readonly recipe: Recipe;
  readonly at: number;
}

/** A factory in memory, as its release watcher sees it: Step Functions, images, records and a mirror that changes. */
export class WatchedFactory {
  time = Date.parse('2026-04-20T00:00:00Z');
  readonly objects = new Map<string, string>();
  readonly executions = new Map<string, { run: BuildRun; input: string; output?: string }>();
  readonly images: (Image & { readonly build: string })[] = [];
  /** Executions that began, in order. */
  readonly started: StartedBuild[] = [];
  readonly notices: { what: string; detail: Readonly<Record<string, unknown>> }[] = [];
  readonly lines: { message: string; [field: string]: unknown }[] = [];
  /** How a build ends as soon as it began; it runs on when absent. */
  outcome: 'SUCCEEDED' | 'FAILED' | undefined = 'SUCCEEDED';
  /** What a call throws, by its name. */
  readonly failures = new Map<string, Error>();
  watchedMirrors: readonly string[] = [MIRROR];
  readonly mirror: MirrorHistory;
  readonly #pause: () => Promise<unknown>;

  /** `pause` is waited for in each call, so that runs at once meet everywhere. */
  constructor(pause: () => Promise<unknown> = async () => {}) {
    this.#pause = pause;
    this.mirror = new MirrorHistory(pause);
  }

  readonly records: Records = {
    put: async (key, text) => {
      await this.#call(`put ${key}`);
      this.objects.set(key, text);
    },
    get: async (key) => {
      await this.#call(`get ${key}`);
      const text = this.objects.get(key);
      if (text === undefined) throw awsError('NoSuchKey');
      return text;
    },
    list: async (prefix) => {
      await this.#call(`list ${prefix}`);
      return [...this.objects.keys()].filter((key) => key.startsWith(prefix));
    },
    delete: async (key) => {
      this.objects.delete(key);
    },
  };

  async #call(name: string): Promise<void> {
    await this.#pause();
    const failure = this.failures.get(name);
    if (failure) throw failure;
  }

  subscribe(name: string, changes: object = {}): void {
    const recipe = {
      name,
      release: '15.0-RELEASE',
      architecture: 'amd64',
      mirrors: [MIRROR],
      subscribe: {},
      ...changes,
    };
    this.objects.set(
      `subscriptions/${name}.json`,
      JSON.stringify({ recipe, updatedAt: new Date(this.time).toISOString() }),
    );
  }

  /** Ends an execution; what succeeds leaves an image as Plan has it tagged. */
  end(name: string, outcome: 'SUCCEEDED' | 'FAILED' | 'ABORTED'): void {
    const held = this.executions.get(name);
    if (held === undefined) throw new Error(`there is no ${name}`);
    held.run = { ...held.run, status: outcome, endedAt: new Date(this.time).toISOString() };
    if (outcome === 'SUCCEEDED') this.#deliver(name, parseRecipe(JSON.parse(held.input).recipe));
  }

  #deliver(build: string, recipe: Recipe): void {
    const release = this.mirror.releases(recipe.architecture).get(recipe.release ?? '');
    if (release === undefined) throw new Error(`${build} was built of nothing`);
    const { date, revision, patches } = release;
    const tags = {
      [tagKey.recipe]: recipe.name,
      [tagKey.recipeDigest]: recipeDigest(recipe),
      [tagKey.bootTested]: new Date(this.time).toISOString(),
      [tagKey.builtOn]: date.replace(/^(\d{4})(\d\d)(\d\d)$/, '$1-$2-$3'),
      [tagKey.revision]: revision,
      ...(recipe.updates === 'at-build' ? { [tagKey.patches]: `p${patches}` } : {}),
    };
    // The same content is the same image, which is taken over.
    const same = this.images.some(
      (image) =>
        JSON.stringify({ ...image.tags, [tagKey.bootTested]: '' }) ===
        JSON.stringify({ ...tags, [tagKey.bootTested]: '' }),
    );
    if (same) return;
    this.images.push({
      build,
      imageId: `ami-${String(this.images.length).padStart(17, '0')}`,
      name: build,
      state: 'available',
      stateReason: '',
      rootSnapshotId: undefined,
      startedAt: this.time,
      properties: {},
      tags,
    });
  }

  get updates() {
    return updateServer(this.mirror, { url: UPDATES, keyPrint });
  }

  /** One run of the watcher. */
  run = () =>
    watchReleases({
      mirror: this.mirror,
      updates: this.updates,
      images: {
        findOfAnyBuild: async () => {
          await this.#call('images');
          return [...this.images];
        },
      },
      runs: {
        find: async (name) => {
          await this.#call('find');
          const held = this.executions.get(name);
          return (
            held && {
              ...held.run,
              input: held.input,
              output: held.output,
              error: undefined,
              cause: undefined,
            }
          );
        },
        start: async (name, input) => {
          await this.#call(`start ${name}`);
          const held = this.executions.get(name);
          if (held !== undefined) {
            const same = held.run.status === 'RUNNING' && held.input === input;
            return same ? { startedAt: Date.parse(held.run.startedAt) } : 'taken';
          }
          const startedAt = new Date(this.time).toISOString();
          this.executions.set(name, {
            run: { name, arn: name, status: 'RUNNING', startedAt, endedAt: null },
            input,
          });
          this.started.push({ name, recipe: parseRecipe(JSON.parse(input).recipe), at: this.time });
          if (this.outcome !== undefined) this.end(name, this.outcome);
          return { startedAt: this.time };
        },
      },
      records: this.records,
      notices: {
        tell: async (what, detail) => {
          await this.#call(`tell ${what} ${String(detail.release)} ${String(detail.architecture)}`);
          this.notices.push({ what, detail });
        },
      },
      clock: { now: () => this.time },
      log: (message, fields) => this.lines.push({ message, ...fields }),
      settings: { WATCHED_MIRRORS: this.watchedMirrors },
    })();

  /** What was started, as `release architecture`, in order. */
  get builds(): string[] {
    return this.started.map(({ recipe }) => `${recipe.release} ${recipe.architecture}`);
  }

  /** The name of a build of a subscription. */
  nameOf = (recipe: unknown, attempt = 1) => {
    const parsed = parseRecipe(recipe);
    return executionName(parsed.name, recipeDigest(parsed), attempt);
  };
}
