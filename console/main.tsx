import { render } from 'preact';
import { takeKey } from './api.ts';
import { App } from './app.tsx';
import { applyTheme } from './theme.ts';

takeKey();
applyTheme();
const place = document.getElementById('console');
if (place) render(<App />, place);
