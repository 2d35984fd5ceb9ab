import type { RouteAnswer } from '../core/api/routes.ts';
import { consoleLines, textAfter } from '../core/console-text.ts';
import type { Api } from './api.ts';
import { detachOnInterrupt } from './detach.ts';
import { EXIT } from './exit.ts';
import { patiently, rest } from './follow-build.ts';
import { print, printJson, printJsonLine, say } from './terminal.ts';

interface LogOptions {
  readonly follow?: boolean;
  readonly source?: string;
  readonly json?: boolean;
}

type Log = RouteAnswer<'build-log'>;

/** Prints the console of a build's machine; with `follow` also what it says from now on, and what the next machine says. */
export async function logs(
  api: Api,
  id: string,
  { follow = false, source, json = false }: LogOptions,
): Promise<number> {
  const look = (of: string | undefined): Promise<Log> =>
    api.call('build-log', { params: { id }, query: { source: of } });
  const first = await look(source);
  if (!follow) {
    if (json) printJson(first);
    else printLines(consoleLines(first.text), first.text);
    const others = first.sources.filter((name) => name !== first.source);
    if (!json && others.length > 0)
      say(`(console of ${first.source}; there are also: ${others.join(', ')}: --source)`);
    return EXIT.ok;
  }
  using interrupt = detachOnInterrupt();
  const { signal } = interrupt;
  const following = {
    signal,
    trouble: (error: Error) => say(`${error.message.split('\n')[0]}; trying again`),
  };
  const reader = new Reader(json);
  const read = new Set<string>();
  let log: Log | undefined = first;
  let ended = false;
  while (log !== undefined) {
    reader.take(log);
    if (log.complete) {
      read.add(log.source);
      // The next machine's console, while the build runs; after its end no machine comes that is not known yet.
      const next: string | undefined =
        source === undefined ? log.sources.find((name) => !read.has(name)) : undefined;
      if (next === undefined && (ended || source !== undefined)) {
        reader.end();
        return EXIT.ok;
      }
      if (next !== undefined) {
        log = await patiently(api, () => look(next), following);
        continue;
      }
      const build = await patiently(api, () => api.call('show-build', { params: { id } }), following);
      ended = build?.status !== 'RUNNING';
    }
    if (!ended) await rest(api, signal);
    const { source: same }: Log = log;
    log = await patiently(api, () => look(same), following);
  }
  reader.end();
  say(`\nDetached. To come back: foundry logs --follow ${id}`);
  return EXIT.detached;
}

/** `lines` of a text; what follows its last end of line is empty, and no line. */
function printLines(lines: readonly string[], text: string): void {
  const whole = text.endsWith('\n') || text === '' ? lines.slice(0, -1) : lines;
  for (const line of whole) print(line);
}

/** Prints what it has not printed, whole lines only. */
class Reader {
  readonly #json: boolean;
  #source: string | undefined;
  #before = '';
  /** The beginning of a line whose end is not there yet. */
  #rest = '';

  constructor(json: boolean) {
    this.#json = json;
  }

  take({ source, text }: { readonly source: string; readonly text: string }): void {
    if (source !== this.#source) {
      this.end();
      if (this.#source !== undefined) say(`==> ${source}`);
      this.#source = source;
      this.#before = '';
    }
    const { text: fresh, missed } = textAfter(this.#before, text);
    if (missed) {
      this.end();
      say('(a part of the console went by unseen)');
    }
    // A window that lags says nothing new, and is not what is read on from.
    if (fresh !== '') this.#before = text;
    const pending = `${this.#rest}${fresh}`;
    const end = pending.lastIndexOf('\n') + 1;
    this.#rest = pending.slice(end);
    this.#print(pending.slice(0, end));
  }

  end(): void {
    this.#print(this.#rest);
    this.#rest = '';
  }

  #print(text: string): void {
    if (text === '') return;
    if (this.#json) printJsonLine({ event: 'log', source: this.#source, text });
    else printLines(consoleLines(text), text);
  }
}
