/** Numbers for people. */

/** `0.4 s`, `12 s`, `4 min 09 s`, `2 h 05 min`. */
export function seconds(value: number): string {
  if (value < 10) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  if (whole < 60) return `${whole} s`;
  const two = (part: number) => String(part).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** Parts of a cent count: $12.50, $0.0312, $0.000021. */
export const dollars = (value: number | null): string =>
  value === null
    ? 'unknown'
    : `$${value === 0 ? '0' : value >= 1 ? value.toFixed(2) : value.toFixed(value >= 0.001 ? 4 : 6)}`;

/** `141 MB`; empty for what is no megabyte to speak of. */
export const megabytes = (bytes: number | null): string =>
  bytes === null || bytes < 50_000 ? '' : `${(bytes / 1e6).toFixed(bytes < 1e6 ? 1 : 0)} MB`;

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A bar of `width` characters; `part` is between 0 and 1. */
export function bar(part: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, part)) * width * 8);
  return `${'█'.repeat(Math.floor(eighths / 8))}${EIGHTHS[eighths % 8] ?? ''}`.padEnd(width, '·');
}

/** How long ago a time was, roughly: `3 min`, `5 h`, `12 d`. */
export function ago(time: string, now: number): string {
  const minutes = (now - Date.parse(time)) / 60_000;
  if (minutes < 1) return 'now';
  if (minutes < 100) return `${Math.round(minutes)} min`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} d`;
}
