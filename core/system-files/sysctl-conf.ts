import type { FileEdit, Setting } from '../image-parts.ts';
import type { Recipe } from '../recipe.ts';
import { merged, settingsText } from './quoting.ts';

/** sysctl.conf(5): put behind what the release has there, since the last of two settings counts. */
export function sysctlConf(recipe: Recipe, fromFeatures: readonly Setting[]): FileEdit {
  const settings = merged(
    [
      {
        key: 'net.inet6.ip6.dad_count',
        value: '0',
        because: 'No other host has the address in a VPC: looking for it costs a second of every boot.',
      },
    ],
    fromFeatures,
    Object.entries(recipe.sysctl).map(([key, value]) => ({ key, value, because: 'The recipe says so.' })),
  );
  return {
    path: '/etc/sysctl.conf',
    comment: '',
    first: '',
    last: settingsText(settings, ({ key, value }) => `${key}=${value}`),
    because: 'sysctl.conf(5): settings of the kernel.',
  };
}
