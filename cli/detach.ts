import { EXIT } from './exit.ts';

/** What Ctrl-C does while something is followed: the first ends the following, the second the program. */
export function detachOnInterrupt(): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const interrupt = () => {
    // A live list hides the cursor.
    if (controller.signal.aborted) {
      if (process.stderr.isTTY) process.stderr.write('\u001b[?25h\n');
      process.exit(EXIT.detached);
    }
    controller.abort();
  };
  process.on('SIGINT', interrupt);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => process.off('SIGINT', interrupt),
  };
}
