/** Marks of crypt(3) formats: 1, 2a, 5, 6, y … between dollars, then salt and hash. */
const passwordHash = /\$([0-9a-z]{1,3})\$[A-Za-z0-9./$=,-]{8,}/g;

/** The query of a URL may be a signature. */
const query = /(https?:\/\/[^\s?]+)\?[^\s"]+/g;

/** A text without password hashes and signed URLs, for terminals, logs and tickets. */
export const masked = (text: string): string =>
  text.replace(passwordHash, '$$$1$$(hidden)').replace(query, '$1?(hidden)');

/** A text with control characters as words, so that nobody's words move the cursor. */
export const visible = (text: string): string =>
  text.replace(
    /[^\P{Cc}\n\t]/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );

/** A text for terminals: masked, and with control characters as words. */
export const printable = (text: string): string => visible(masked(text));

/** A value for JSON with every string of it masked. */
export function maskedValue(value: unknown): unknown {
  if (typeof value === 'string') return masked(value);
  if (Array.isArray(value)) return value.map(maskedValue);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, maskedValue(item)]));
  }
  return value;
}
