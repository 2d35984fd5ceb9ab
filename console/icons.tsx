/** Drawn here: signs of fonts are not on every machine. */
const paths = {
  copy: 'M5.500 5.500v-3h8v8h-3M2.500 5.500h8v8h-8z',
  copied: 'M3 8.500l3.500 3.500L13 4.500',
  refresh: 'M13 8a5 5 0 1 1-1.600-3.700M13 2v3h-3',
  system: 'M8 2.500a5.500 5.500 0 1 0 0 11zM8 2.500a5.500 5.500 0 0 1 0 11',
  light:
    'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  dark: 'M13 9.500A5.500 5.500 0 0 1 6.500 3 5.500 5.500 0 1 0 13 9.500z',
} as const;

export function Icon({ name }: { readonly name: keyof typeof paths }) {
  return (
    <svg class={`icon ${name}`} viewBox="0 0 16 16" width="15" height="15" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
