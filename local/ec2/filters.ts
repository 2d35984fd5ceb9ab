import type { Filter, Tag } from '@aws-sdk/client-ec2';
import { ServiceError, unsupported } from '../front/service-error.ts';

/** Values of one filter for one resource; a resource may have several (one per device, tag, …) or none. */
export type FilterReader<T> = (resource: T) => readonly (string | number | boolean | undefined)[];

/** EC2 User Guide, "List and filter using the CLI and API": `*` any characters, `?` one, case-sensitive. */
export function wildcard(pattern: string): RegExp {
  const body = pattern.replace(/\\?[\s\S]/g, (token) => {
    if (token === '*') return '[\\s\\S]*';
    if (token === '?') return '[\\s\\S]';
    const literal = token.length > 1 ? token.slice(1) : token;
    return literal.replace(/[.+^${}()|[\]\\/*?-]/g, '\\$&');
  });
  return new RegExp(`^${body}$`);
}

/**
 * Keeps what passes every filter (AND over filters, OR over values: same page). `readers` names the filters that are
 * emulated; `documented` those that AWS has besides: they are refused as not emulated, all others as invalid.
 */
export function filtered<T>(
  resources: readonly T[],
  filters: readonly Filter[] | undefined,
  readers: Readonly<Record<string, FilterReader<T>>>,
  documented: readonly string[],
  tagsOf?: (resource: T) => readonly Tag[],
): T[] {
  const tests = (filters ?? []).map((filter) => {
    const name = filter.Name ?? '';
    const values = (filter.Values ?? []).map(wildcard);
    if (values.length === 0) {
      throw new ServiceError('InvalidParameterValue', `The filter '${name}' must have at least one value`);
    }
    const read = readerOf(name, readers, documented, tagsOf);
    return (resource: T) =>
      read(resource).some((value) => value !== undefined && values.some((one) => one.test(String(value))));
  });
  return resources.filter((resource) => tests.every((test) => test(resource)));
}

function readerOf<T>(
  name: string,
  readers: Readonly<Record<string, FilterReader<T>>>,
  documented: readonly string[],
  tagsOf: ((resource: T) => readonly Tag[]) | undefined,
): FilterReader<T> {
  if (tagsOf && name.startsWith('tag:')) {
    const key = name.slice('tag:'.length);
    return (resource) =>
      tagsOf(resource)
        .filter((tag) => tag.Key === key)
        .map((tag) => tag.Value ?? '');
  }
  if (tagsOf && name === 'tag-key') return (resource) => tagsOf(resource).map((tag) => tag.Key);
  const reader = Object.hasOwn(readers, name) ? readers[name] : undefined;
  if (reader) return reader;
  if (documented.includes(name)) throw unsupported(`the filter '${name}'`);
  throw new ServiceError('InvalidParameterValue', `The filter '${name}' is invalid`);
}
