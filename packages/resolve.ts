/**
 * Chooses packages: those asked for, and what they need. No search with alternatives as pkg's solver does it: each need is met
 * by the best candidate (priority of the repository, version, order of the repositories), and what then contradicts is an error.
 */
import { distance } from 'fastest-levenshtein';
import type { CataloguePackage } from './catalogue.ts';
import { PackageError } from './errors.ts';
import type { OpenedRepository } from './repository.ts';
import type { PackageRequest } from './request.ts';
import { compareVersions } from './version.ts';

export interface ChosenPackage extends CataloguePackage {
  /** Not asked for by name: `pkg autoremove` may take it. */
  readonly automatic: boolean;
}

export interface Resolution {
  /** Each behind all that it depends on. */
  readonly packages: readonly ChosenPackage[];
  /** What nobody provides, but pkg does not insist on either. */
  readonly notes: readonly string[];
}

type Index = ReadonlyMap<string, readonly CataloguePackage[]>;

function indexBy(
  repositories: readonly OpenedRepository[],
  keys: (candidate: CataloguePackage) => readonly string[],
): Index {
  const index = new Map<string, CataloguePackage[]>();
  for (const { catalogue } of repositories) {
    for (const candidate of catalogue.packages) {
      for (const key of keys(candidate)) {
        const list = index.get(key);
        if (list) list.push(candidate);
        else index.set(key, [candidate]);
      }
    }
  }
  return index;
}

/** A shell pattern (`*`, `?`, `[…]`) as a regular expression. */
function globExpression(glob: string): RegExp {
  const source = glob.replaceAll(/\[!?[^\]]*\]|[\s\S]/g, (part) => {
    if (part === '*') return '.*';
    if (part === '?') return '.';
    if (part.length > 1) return part.replace(/^\[!/, '[^').replaceAll('\\', '\\\\');
    return part.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&');
  });
  return new RegExp(`^${source}$`);
}

const byName = (a: CataloguePackage, b: CataloguePackage): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : 0;

export function resolve(
  requests: readonly PackageRequest[],
  repositories: readonly OpenedRepository[],
  inImage: { readonly shlib: (name: string) => boolean },
): Resolution {
  const rank = new Map(
    repositories.map(({ request }, at) => [request.name, { priority: request.priority, at }]),
  );
  const names = indexBy(repositories, ({ name }) => [name]);
  const notes: string[] = [];

  /** Best first. */
  const compare = (a: CataloguePackage, b: CataloguePackage): number => {
    const [one, two] = [rank.get(a.repository), rank.get(b.repository)];
    return (
      (two?.priority ?? 0) - (one?.priority ?? 0) ||
      compareVersions(b.version, a.version) ||
      (one?.at ?? 0) - (two?.at ?? 0) ||
      (a.path < b.path ? -1 : 1)
    );
  };
  const best = (candidates: readonly CataloguePackage[]): CataloguePackage | undefined =>
    candidates.reduce<CataloguePackage | undefined>(
      (found, candidate) => (found === undefined || compare(candidate, found) < 0 ? candidate : found),
      undefined,
    );

  const problems: string[] = [];
  const asked = new Map<string, CataloguePackage>();
  const ask = (candidate: CataloguePackage, wanted: string): void => {
    const other = asked.get(candidate.name);
    if (other && (other.version !== candidate.version || other.repository !== candidate.repository)) {
      throw new PackageError(
        'PackageConflict',
        `${wanted} is ${candidate.name}-${candidate.version} from ${candidate.repository}, but ${other.version} from ${other.repository} is asked for as well`,
        'ask for one of them',
      );
    }
    asked.set(candidate.name, candidate);
  };

  let lowerCase: Map<string, string[]> | undefined;
  const origins = new Map<string, Set<string>>();
  for (const name of names.keys()) {
    for (const { origin } of names.get(name) ?? []) {
      const set = origins.get(origin);
      if (set) set.add(name);
      else origins.set(origin, new Set([name]));
    }
  }

  for (const { name: wanted, repository } of requests) {
    if (repository !== '' && !rank.has(repository)) {
      problems.push(`${wanted}: there is no repository ${repository}`);
      continue;
    }
    const among = (list: readonly CataloguePackage[]) =>
      repository === '' ? list : list.filter((candidate) => candidate.repository === repository);
    const candidatesOf = (name: string): readonly CataloguePackage[] => among(names.get(name) ?? []);
    const whole = best(candidatesOf(wanted));
    if (whole) {
      ask(whole, wanted);
      continue;
    }
    if (/[*?[]/.test(wanted)) {
      const expression = globExpression(wanted);
      const where = wanted.includes('/') ? [...origins.keys()].filter((o) => expression.test(o)) : undefined;
      const matching = where
        ? where.flatMap((origin) => [...(origins.get(origin) ?? [])])
        : [...names.keys()].filter((name) => expression.test(name));
      let any = false;
      for (const name of matching.sort()) {
        const candidate = best(candidatesOf(name));
        if (!candidate) continue;
        any = true;
        ask(candidate, wanted);
      }
      if (!any) problems.push(`nothing matches ${wanted}`);
      continue;
    }
    if (wanted.includes('/')) {
      const [origin = '', flavor] = wanted.split('@');
      const matching = [...(origins.get(origin) ?? [])]
        .sort()
        .map((name) =>
          best(
            candidatesOf(name).filter(
              (c) => c.origin === origin && (flavor === undefined || c.flavor === flavor),
            ),
          ),
        )
        .filter((candidate) => candidate !== undefined);
      const [first, second] = matching;
      if (!first) problems.push(nearest(wanted, origins.keys()));
      else if (second) {
        problems.push(
          `${wanted} is several packages (${matching.map(({ name }) => name).join(', ')}): name one of them`,
        );
      } else ask(first, wanted);
      continue;
    }
    // name-version: the version begins behind one of the hyphens.
    const exact: CataloguePackage[] = [];
    for (let at = wanted.lastIndexOf('-'); at > 0; at = wanted.lastIndexOf('-', at - 1)) {
      exact.push(
        ...candidatesOf(wanted.slice(0, at)).filter(({ version }) => version === wanted.slice(at + 1)),
      );
    }
    const versioned = best(exact);
    if (versioned) {
      ask(versioned, wanted);
      continue;
    }
    if (!lowerCase) {
      lowerCase = new Map();
      for (const name of names.keys())
        lowerCase.set(name.toLowerCase(), [...(lowerCase.get(name.toLowerCase()) ?? []), name]);
    }
    const similar = (lowerCase.get(wanted.toLowerCase()) ?? [])
      .flatMap((name) => candidatesOf(name))
      .sort(byName);
    const folded = best(similar);
    if (folded) ask(folded, wanted);
    else problems.push(nearest(wanted, names.keys()));
  }
  if (problems.length > 0) {
    throw new PackageError(
      'PackageNotFound',
      problems.join(', '),
      'correct the names, or add the repository that has them',
    );
  }

  const chosen = new Map<string, CataloguePackage>(asked);
  const provided = indexBy(repositories, ({ provides }) => provides);
  const shlibs = indexBy(repositories, ({ shlibsProvided }) => shlibsProvided);
  const missing: string[] = [];
  const queue = [...asked.values()].sort(byName);
  const choose = (candidate: CataloguePackage): void => {
    if (chosen.has(candidate.name)) return;
    chosen.set(candidate.name, candidate);
    queue.push(candidate);
  };
  const hasChosen = (candidates: readonly CataloguePackage[] | undefined): boolean =>
    candidates?.some((candidate) => chosen.get(candidate.name) === candidate) ?? false;
  /** The repository of the one who needs it comes first among equals: its packages were built together. */
  const bestFor = (
    needer: CataloguePackage,
    candidates: readonly CataloguePackage[],
  ): CataloguePackage | undefined => {
    const own = candidates.filter(({ repository }) => repository === needer.repository);
    return best(own.length > 0 ? own : candidates);
  };
  // First what is named, then what is needed by some name: a provider that is chosen anyway is no alternative.
  for (let at = 0; at < queue.length; at++) {
    const needer = queue[at] as CataloguePackage;
    for (const name of [...needer.dependencies].sort()) {
      if (chosen.has(name)) continue;
      const candidate = bestFor(needer, names.get(name) ?? []);
      if (candidate) choose(candidate);
      else missing.push(`${name} (needed by ${needer.name})`);
    }
    if (at + 1 < queue.length) continue;
    for (const one of [...chosen.values()].sort(byName)) {
      for (const need of [...one.requires].sort()) {
        if (hasChosen(provided.get(need))) continue;
        const candidate = bestFor(one, provided.get(need) ?? []);
        if (candidate) choose(candidate);
        else missing.push(`${need} (required by ${one.name})`);
      }
      for (const need of [...one.shlibsRequired].sort()) {
        if (one.shlibsProvided.includes(need) || hasChosen(shlibs.get(need)) || inImage.shlib(need)) continue;
        const candidate = bestFor(one, shlibs.get(need) ?? []);
        if (candidate) choose(candidate);
      }
    }
  }
  if (missing.length > 0) {
    throw new PackageError(
      'PackageNotFound',
      `no repository has ${[...new Set(missing)].sort().join(', ')}`,
      'the catalogue is incomplete: add the repository that has them, or try again when it is rebuilt',
    );
  }
  for (const one of [...chosen.values()].sort(byName)) {
    for (const need of one.shlibsRequired) {
      if (!one.shlibsProvided.includes(need) && !hasChosen(shlibs.get(need)) && !inImage.shlib(need)) {
        notes.push(`${one.name} needs the library ${need}, which neither the image nor a package has`);
      }
    }
  }
  refuseConflicts(chosen);
  return {
    packages: inOrder(chosen).map((one) => ({ ...one, automatic: !asked.has(one.name) })),
    notes,
  };
}

/** A conflict is a name, a glob, or name and version. */
function refuseConflicts(chosen: ReadonlyMap<string, CataloguePackage>): void {
  const problems: string[] = [];
  for (const one of [...chosen.values()].sort(byName)) {
    for (const conflict of one.conflicts) {
      const expression = globExpression(conflict);
      for (const other of chosen.values()) {
        if (other === one) continue;
        if (expression.test(other.name) || expression.test(`${other.name}-${other.version}`)) {
          problems.push(`${one.name} conflicts with ${other.name}`);
        }
      }
    }
  }
  if (problems.length > 0) {
    throw new PackageError('PackageConflict', [...new Set(problems)].join(', '), 'ask for one of each pair');
  }
}

/** Dependencies first, otherwise base packages first (they bring the accounts), otherwise by name; circles are cut where they close. */
function inOrder(chosen: ReadonlyMap<string, CataloguePackage>): CataloguePackage[] {
  const isBase = (one: CataloguePackage): boolean => one.origin === 'base' || one.origin.startsWith('base/');
  const ordered: CataloguePackage[] = [];
  const state = new Map<string, 'begun' | 'done'>();
  // Without recursion: a chain of dependencies may be long.
  for (const start of [...chosen.values()].sort(
    (a, b) => Number(isBase(b)) - Number(isBase(a)) || byName(a, b),
  )) {
    const stack: { one: CataloguePackage; rest: string[] }[] = [];
    const enter = (one: CataloguePackage): void => {
      if (state.has(one.name)) return;
      state.set(one.name, 'begun');
      stack.push({ one, rest: [...one.dependencies].sort().reverse() });
    };
    enter(start);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const next = top.rest.pop();
      const dependency = next === undefined ? undefined : chosen.get(next);
      if (dependency) enter(dependency);
      else if (next === undefined) {
        state.set(top.one.name, 'done');
        ordered.push(top.one);
        stack.pop();
      }
    }
  }
  return ordered;
}

function nearest(wanted: string, names: Iterable<string>): string {
  const found: { name: string; far: number }[] = [];
  // py311-foo for py-foo, foo for foo15: a name within another is near, however long.
  const core = wanted.replace(/^(py|rubygem|p5)\d*-/, '').toLowerCase();
  for (const name of names) {
    const lower = name.toLowerCase();
    const within = core.length > 2 && lower.includes(core);
    const far = within
      ? 1 + Math.abs(lower.length - core.length) / 100
      : distance(wanted.toLowerCase(), lower);
    if (far <= Math.max(2, wanted.length / 3)) found.push({ name, far });
  }
  found.sort((a, b) => a.far - b.far || (a.name < b.name ? -1 : 1));
  const near = found.slice(0, 3).map(({ name }) => name);
  return near.length === 0 ? `there is no ${wanted}` : `there is no ${wanted} (near: ${near.join(', ')})`;
}
