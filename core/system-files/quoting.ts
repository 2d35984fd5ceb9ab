import type { Setting } from '../image-parts.ts';
import { shellQuote } from '../user-data.ts';

/**
 * A value as rc.conf(5) has it: a word of sh(1) in double quotes, or in single ones where double quotes would let sh look into it
 * (sh(1), Quoting).
 */
export const rcValue = (value: string): string => (/["$`\\]/.test(value) ? shellQuote(value) : `"${value}"`);

/** A file of settings: each under its reason, once for a run of settings that share one. */
export function settingsText(settings: readonly Setting[], line: (setting: Setting) => string): string {
  const lines = settings.flatMap((setting, index) =>
    settings[index - 1]?.because === setting.because
      ? [line(setting)]
      : [`# ${setting.because}`, line(setting)],
  );
  return lines.map((one) => `${one}\n`).join('');
}

/** Settings in order, a later one of the same key in the place of the earlier. */
export function merged(...lists: readonly (readonly Setting[])[]): Setting[] {
  const byKey = new Map<string, Setting>();
  for (const setting of lists.flat()) byKey.set(setting.key, setting);
  return [...byKey.values()];
}
