#!/usr/bin/env node
// `foundry`: what people type. One file per verb; cli/program.ts has the command line.
import { CommanderError } from 'commander';
import { EXIT, errorText, exitCodeOf } from './exit.ts';
import { foundryProgram } from './program.ts';
import { say } from './terminal.ts';

// A reader that has seen enough (`| head`) is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
}

try {
  const program = foundryProgram(process.env);
  if (process.argv[2] === 'complete' && process.argv[3] === '--') {
    const { addCompletion } = await import('./completion.ts');
    await addCompletion(program, process.argv.slice(4), process.env);
  }
  await program.parseAsync();
  // Who has left waits for no answer that is still on its way.
  if (process.exitCode === EXIT.detached) process.exit();
} catch (error) {
  const known = exitCodeOf(error);
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  else if (error instanceof Error && known !== undefined) {
    say(errorText(error));
    process.exitCode = known;
  } else throw error;
}
