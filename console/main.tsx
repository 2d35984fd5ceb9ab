import { render } from 'preact';
import { takeKey } from './api.ts';
import { App } from './app.tsx';
import { applyTheme } from './theme.ts';

takeKey();
// The address of a new start, opened where the page of an older one stands, loads nothing by itself.
addEventListener('hashchange', () => {
  if (takeKey()) location.reload();
});
applyTheme();
const place = document.getElementById('console');
if (place) render(<App />, place);
