import { useRef, useState } from 'preact/hooks';
import type { RouteAnswer } from '../../core/api/routes.ts';
import type { Problem } from '../../core/api/schemas.ts';
import { announce } from '../announce.tsx';
import { api } from '../api.ts';
import { Confirm, Panel, ProblemView, useAction } from '../parts.tsx';
import { lineOfField } from '../recipe-lines.ts';
import { go, Link } from '../router.tsx';
import { dollars, duration } from '../words.ts';

type Started = RouteAnswer<'start-build'>;

/** A recipe larger than this is a mistake in the choice of the file. */
const MOST_BYTES = 1 << 20;

const example = `name: web
release: 15.1-RELEASE
architecture: arm64
flavour: small
packages: [nginx]
services: { nginx: true }
`;

/** `name=value`, one a line. Numbers and booleans are what they look like, as in YAML. */
function parametersOf(text: string): Record<string, string | number | boolean> {
  return Object.fromEntries(
    text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .map((line) => {
        const at = line.indexOf('=');
        const value = at < 0 ? '' : line.slice(at + 1).trim();
        const plain = /^(true|false)$/.test(value)
          ? value === 'true'
          : /^-?\d+(\.\d+)?$/.test(value)
            ? Number(value)
            : value;
        return [(at < 0 ? line : line.slice(0, at)).trim(), plain];
      }),
  );
}

export function StartPage() {
  const [text, setText] = useState('');
  const [parameters, setParameters] = useState('');
  const [fileProblem, setFileProblem] = useState('');
  /** The plan, and of which text it is. */
  const [planned, setPlanned] = useState<{ readonly of: string; readonly answer: Started }>();
  const { busy, problem, run } = useAction();
  const editor = useRef<HTMLTextAreaElement>(null);
  const matrix = /^\s*["']?matrix["']?\s*:/m.test(text);
  const [asking, setAsking] = useState(false);
  const [together, setTogether] = useState(false);

  const request = (dryRun: boolean) => ({
    recipe: text,
    ...(parameters.trim() === '' ? {} : { parameters: parametersOf(parameters) }),
    ...(dryRun ? { dryRun: true } : {}),
    ...(matrix && together ? { matrix: { publishTogether: true } } : {}),
  });
  const asked = JSON.stringify(request(false));

  const plan = () =>
    run(async () => {
      setPlanned(undefined);
      const answer = await api.start(request(true));
      setPlanned({ of: asked, answer });
      announce('The plan is there');
    });
  const send = async () => {
    const { id, kind, created } = await api.start(request(false));
    announce(created ? `${id} has started` : `${id} runs already`);
    go(kind === 'matrix' ? `/matrices/${encodeURIComponent(id)}` : `/builds/${encodeURIComponent(id)}`);
  };
  const start = () => run(send);
  const load = async (file: File | undefined) => {
    if (!file) return;
    setFileProblem('');
    if (file.size > MOST_BYTES) setFileProblem(`${file.name} is too large to be a recipe.`);
    else setText(await file.text());
  };
  const toLine = (line: number) => {
    const area = editor.current;
    if (!area) return;
    const lines = text.split('\n');
    const from = lines.slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0);
    area.focus();
    area.setSelectionRange(from, from + (lines[line - 1] ?? '').length);
    area.scrollTop = Math.max(0, line - 6) * (area.scrollHeight / Math.max(1, lines.length));
  };
  const upToDate = planned?.of === asked && planned.answer.plan !== null;
  const wrong = new Set((problem?.problem.errors ?? []).map(({ field }) => field));

  return (
    <>
      <p class="crumbs">
        <Link to="/">Builds</Link>
      </p>
      <h1>Start a build</h1>
      <div class="columns even">
        <form
          class="panel"
          onSubmit={(event) => {
            event.preventDefault();
            void (upToDate ? start() : plan());
          }}
        >
          <div class="field">
            <div class="label">
              <label for="recipe">Recipe</label>
              <span class="faint">YAML, without extends</span>
              <label class="button file">
                Load a file
                <input
                  type="file"
                  accept=".yaml,.yml,.json,text/yaml,application/json"
                  onChange={({ currentTarget }) => {
                    void load(currentTarget.files?.[0]);
                    currentTarget.value = '';
                  }}
                />
              </label>
            </div>
            <textarea
              id="recipe"
              ref={editor}
              class="code"
              rows={20}
              spellcheck={false}
              autocomplete="off"
              placeholder={example}
              value={text}
              aria-invalid={wrong.size > 0 || undefined}
              aria-describedby={problem ? 'problem' : undefined}
              onInput={({ currentTarget: { value } }) => setText(value)}
              onDragOver={(event) => event.preventDefault()}
              onDrop={(event) => {
                const file = event.dataTransfer?.files[0];
                if (!file) return;
                event.preventDefault();
                void load(file);
              }}
            />
            {fileProblem === '' ? null : (
              <p class="bad" role="alert">
                {fileProblem}
              </p>
            )}
          </div>
          <details>
            <summary>Parameters</summary>
            <label for="parameters" class="faint">
              Of the recipe, or one value of a key of its matrix: name=value, one a line
            </label>
            <textarea
              id="parameters"
              class="code"
              rows={3}
              spellcheck={false}
              value={parameters}
              onInput={({ currentTarget: { value } }) => setParameters(value)}
            />
          </details>
          {matrix ? (
            <label class="check">
              <input
                type="checkbox"
                checked={together}
                onChange={({ currentTarget: { checked } }) => setTogether(checked)}
              />
              Publish all images of the matrix, or none
            </label>
          ) : null}
          <div class="buttons">
            <button
              type="submit"
              class={upToDate ? '' : 'primary'}
              aria-disabled={busy || text.trim() === ''}
              disabled={text.trim() === ''}
              onClick={(event) => {
                event.preventDefault();
                void plan();
              }}
            >
              {busy ? 'One moment…' : 'Plan'}
            </button>
            <button
              type="button"
              class={upToDate ? 'primary' : ''}
              disabled={!upToDate && !(matrix && text.trim() !== '')}
              aria-disabled={busy}
              onClick={() => (upToDate ? void start() : setAsking(true))}
            >
              {matrix && !upToDate ? 'Start all builds…' : 'Start the build'}
            </button>
          </div>
          <p class="faint">
            {matrix
              ? 'One build of a matrix is planned at once: pick it by parameters, a value for each key of the matrix.'
              : 'A plan costs nothing; the build can be started when it is there.'}
          </p>
          {asking ? (
            <Confirm
              title="Start all builds of the matrix?"
              verb="Start them"
              act={send}
              onClose={() => setAsking(false)}
            >
              <p>
                They start without a plan: each pays for a worker of its own, and what is wrong with one is
                told before any begins.
              </p>
            </Confirm>
          ) : null}
        </form>
        <div class="stack">
          {problem ? (
            <Panel title="What is wrong">
              <div id="problem">
                <Problems problem={problem.problem} text={text} toLine={toLine} />
              </div>
            </Panel>
          ) : null}
          {planned ? (
            <PlanView answer={planned.answer} stale={planned.of !== asked} />
          ) : problem ? null : (
            <Panel title="Plan">
              <p class="empty">
                What would be built stands here: image, time and price, before anything is made.
              </p>
            </Panel>
          )}
        </div>
      </div>
    </>
  );
}

/** Problems at their fields, each with the line to go to. */
function Problems({
  problem,
  text,
  toLine,
}: {
  readonly problem: Problem;
  readonly text: string;
  readonly toLine: (line: number) => void;
}) {
  if (problem.errors.length === 0) return <ProblemView problem={problem} />;
  return (
    <div class="problem" role="alert">
      <p>
        <strong>{problem.code}</strong>{' '}
        {problem.errors.length === 1 ? 'One field is wrong.' : `${problem.errors.length} fields are wrong.`}
      </p>
      <ul class="fields">
        {problem.errors.map(({ field: whole, message }) => {
          // Of the recipe, and not of the request that it came in.
          const field = whole.replace(/^recipe\./, '');
          const line = lineOfField(text, field);
          return (
            <li key={`${field} ${message}`}>
              <code>{field === '' ? 'recipe' : field}</code> <span>{message}</span>{' '}
              {line === undefined ? null : (
                <button type="button" class="link" onClick={() => toLine(line)}>
                  line {line}
                </button>
              )}
            </li>
          );
        })}
      </ul>
      {problem.remedy === '' ? null : <p class="remedy">{problem.remedy}</p>}
    </div>
  );
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

/** What matters of a plan; all of it is below, as the API gave it. */
function PlanView({ answer, stale }: { readonly answer: Started; readonly stale: boolean }) {
  const plan = record(answer.plan);
  const image = record(plan.image);
  const estimate = record(plan.estimate);
  const worker = record(plan.worker);
  const warnings = Array.isArray(plan.warnings) ? plan.warnings.map(String) : [];

  const text = (value: unknown) =>
    typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
  const joined = (between: string, ...values: unknown[]) =>
    values
      .map(text)
      .filter((one) => one !== undefined)
      .join(between) || undefined;
  const { seconds, dollars: cost } = estimate;
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['Image', text(image.name)],
    ['Release', joined(' ', plan.release, plan.architecture)],
    [
      'Disk',
      joined(
        ', ',
        plan.rootSizeGiB === undefined ? undefined : `${text(plan.rootSizeGiB)} GiB`,
        plan.filesystem,
        plan.flavour,
      ),
    ],
    ['Road', text(plan.road)],
    ['Worker', Array.isArray(worker.instanceTypes) ? worker.instanceTypes.join(', ') : undefined],
    ['Time', typeof seconds === 'number' ? `about ${duration(seconds)}` : undefined],
    ['Price', typeof cost === 'number' ? `about ${dollars(cost)}` : undefined],
    ['Content', text(plan.contentDigest)?.slice(0, 12)],
  ];
  return (
    <Panel title="Plan" aside={stale ? <span class="warn">of an earlier text</span> : null}>
      {answer.plan === null ? (
        <p class="note warn">
          {answer.status === 'RUNNING' ? 'The plan takes its time: ' : 'The plan did not come about: '}
          <Link to={`/builds/${encodeURIComponent(answer.id)}`}>{answer.id}</Link>
        </p>
      ) : null}
      {warnings.map((warning) => (
        <p key={warning} class="note warn">
          {warning}
        </p>
      ))}
      <dl class="facts">
        {rows.map(([name, value]) =>
          value === undefined ? null : (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
        )}
      </dl>
      <details>
        <summary>All of it</summary>
        <pre class="code tall" tabIndex={0} role="region" aria-label="The plan as JSON">
          {JSON.stringify(answer.plan, null, 2)}
        </pre>
      </details>
    </Panel>
  );
}
