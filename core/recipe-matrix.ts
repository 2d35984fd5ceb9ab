import * as z from 'zod/mini';
import { described } from './described.ts';
import { nearestName } from './nearest-name.ts';
import { isFields, type Report } from './recipe-layers.ts';
import { fromText, type Parameters, type Scalar, scalar, typedValue } from './recipe-parameters.ts';

/** Keys of a recipe that a matrix may vary without a parameter. */
export const matrixFields = ['release', 'architecture', 'filesystem', 'flavour'] as const;

const list = z.array(scalar).check(z.minLength(1));

/** The `matrix` of a recipe, as the JSON Schema shows it; `readMatrix` checks it with better words. */
export const matrixSchema = z.catchall(
  z.object({
    release: described(z.optional(list), 'Releases to build.'),
    architecture: described(z.optional(list), 'Architectures to build for.'),
    filesystem: described(z.optional(list), 'Root file systems to build with.'),
    flavour: described(z.optional(list), 'Flavours to build.'),
    exclude: described(
      z.optional(z.array(z.record(z.string(), scalar)).check(z.minLength(1))),
      'Combinations not to build: each names some keys of the matrix with one value.',
    ),
  }),
  list,
);

/** What tells one build of a matrix from the others. */
export type Coordinates = Readonly<Record<string, Scalar>>;

interface Axis {
  readonly key: string;
  readonly values: readonly Scalar[];
}

/** Of one command: more would be many accounts' worth of instances, and is likelier a slip. */
const MOST_BUILDS = 200;

const isScalar = (value: unknown): value is Scalar => ['string', 'number', 'boolean'].includes(typeof value);

/**
 * The builds of a matrix, the last key changing fastest; one build without coordinates if there is no matrix. `set` picks one value of a key.
 */
export function expandMatrix(
  value: unknown,
  parameters: Parameters,
  set: ReadonlyMap<string, string>,
  report: Report,
): Coordinates[] {
  if (value === undefined) return [{}];
  if (!isFields(value)) {
    report('matrix must be a map of keys and lists of values');
    return [];
  }
  const axes = Object.entries(value).flatMap(([key, values]) =>
    key === 'exclude' ? [] : readAxis(key, values, parameters, report),
  );
  const excluded = readExclusions(value.exclude, axes, report);
  const chosen = axes.map((axis) => choose(axis, parameters, set, report));
  const builds = chosen.reduce((product, { values }) => product * values.length, 1);
  if (builds > MOST_BUILDS) {
    report(`matrix has ${builds} combinations; at most ${MOST_BUILDS} are built at once`);
    return [];
  }
  const left = combinations(chosen).filter(
    (build) => !excluded.some((entries) => entries.every(([key, excluding]) => build.get(key) === excluding)),
  );
  if (left.length === 0 && builds > 0) report('matrix.exclude leaves nothing to build');
  return left.map((build) => Object.fromEntries(build));
}

function readAxis(key: string, values: unknown, parameters: Parameters, report: Report): Axis[] {
  const field = `matrix.${key}`;
  const parameter = parameters.get(key);
  if (parameter === undefined && !(matrixFields as readonly string[]).includes(key)) {
    const near = nearestName(key, [...matrixFields, ...parameters.keys(), 'exclude']);
    report(
      `${field} is neither ${matrixFields.join(', ')} nor a parameter${near ? `; did you mean ${near}?` : ''}`,
    );
    return [];
  }
  if (!Array.isArray(values) || values.length === 0) {
    report(`${field} must be a list of values`);
    return [];
  }
  const taken = values.flatMap((given: unknown, index): Scalar[] => {
    if (!isScalar(given)) report(`${field}.${index} must be text, a number, true or false`);
    else if (values.indexOf(given) !== index) report(`${field} has ${JSON.stringify(given)} twice`);
    else {
      const checked = parameter === undefined ? { value: given } : typedValue(parameter, given);
      if ('value' in checked) return [checked.value];
      report(`${field}.${index} ${checked.problem}`);
    }
    return [];
  });
  return [{ key, values: taken }];
}

function readExclusions(
  value: unknown,
  axes: readonly Axis[],
  report: Report,
): (readonly (readonly [string, unknown])[])[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    report('matrix.exclude must be a list of combinations');
    return [];
  }
  return value.flatMap((combination: unknown, index) => {
    const field = `matrix.exclude.${index}`;
    if (!isFields(combination) || Object.keys(combination).length === 0) {
      report(`${field} must be a map of some keys of the matrix, each with one value`);
      return [];
    }
    const entries = Object.entries(combination);
    for (const [key, excluding] of entries) {
      const axis = axes.find((candidate) => candidate.key === key);
      if (axis === undefined) {
        const near = nearestName(
          key,
          axes.map((candidate) => candidate.key),
        );
        report(`${field}.${key} is not a key of the matrix${near ? `; did you mean ${near}?` : ''}`);
      } else if (!axis.values.some((candidate) => candidate === excluding)) {
        report(
          `${field}.${key} must be one of ${axis.values.map(String).join(', ')}; it is ${JSON.stringify(excluding)}`,
        );
      }
    }
    return [entries];
  });
}

function choose(
  { key, values }: Axis,
  parameters: Parameters,
  set: ReadonlyMap<string, string>,
  report: Report,
): Axis {
  const text = set.get(key);
  if (text === undefined) return { key, values };
  const parameter = parameters.get(key);
  const wanted = parameter === undefined ? text : fromText(parameter, text);
  const chosen = values.filter((value) => value === wanted || String(value) === text);
  if (chosen.length === 0) {
    report(
      `${key} is set to ${JSON.stringify(text)}, and matrix.${key} has ${values.map(String).join(', ')}`,
    );
  }
  return { key, values: chosen };
}

const combinations = (axes: readonly Axis[]): ReadonlyMap<string, Scalar>[] =>
  axes.reduce<ReadonlyMap<string, Scalar>[]>(
    (builds, { key, values }) =>
      builds.flatMap((build) => values.map((value) => new Map([...build, [key, value]]))),
    [new Map()],
  );
