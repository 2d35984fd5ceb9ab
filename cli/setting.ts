export type Settings = Readonly<Record<string, string>>;

/** Adds the `name=value` of one `--set` to those before it, or says what is wrong with it. */
export function addSetting(
  text: string,
  before: Settings,
): { readonly settings: Settings } | { readonly problem: string } {
  const at = text.indexOf('=');
  if (at < 1) return { problem: 'Write it as name=value.' };
  const name = text.slice(0, at);
  if (Object.hasOwn(before, name)) return { problem: `${name} is set twice.` };
  return { settings: Object.fromEntries([...Object.entries(before), [name, text.slice(at + 1)]]) };
}
