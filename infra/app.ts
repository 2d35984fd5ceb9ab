import { foundryApp } from './foundry-app.ts';

foundryApp().app.synth();
