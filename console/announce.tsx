import { useEffect, useState } from 'preact/hooks';

let tell = (_text: string): void => {};

/** Has a screen reader say something that changed by itself. */
export const announce = (text: string): void => tell(text);

export function Announcer() {
  const [text, setText] = useState('');
  useEffect(() => {
    tell = setText;
    return () => {
      tell = () => {};
    };
  }, []);
  return (
    <p class="unseen" aria-live="polite" role="status">
      {text}
    </p>
  );
}
