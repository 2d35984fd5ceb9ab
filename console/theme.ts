import { useState } from 'preact/hooks';

/** Light or dark as the system has it, until somebody says otherwise. */
export type Theme = 'system' | 'light' | 'dark';

const KEY = 'foundry-console-theme';
const themes: readonly Theme[] = ['system', 'light', 'dark'];

const chosen = (): Theme => themes.find((theme) => theme === localStorage.getItem(KEY)) ?? 'system';

function apply(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Before the first paint, so that nothing flashes. */
export const applyTheme = (): void => apply(chosen());

export function useTheme(): { readonly theme: Theme; readonly next: () => void } {
  const [theme, setTheme] = useState(chosen);
  const next = () => {
    const following = themes[(themes.indexOf(theme) + 1) % themes.length] ?? 'system';
    localStorage.setItem(KEY, following);
    apply(following);
    setTheme(following);
  };
  return { theme, next };
}
