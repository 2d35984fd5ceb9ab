import { readdir, readlink } from 'node:fs/promises';

/**
 * Whether any process of this user has the file open, by /proc/PID/fd (proc(5)). Where there is no /proc to ask, the answer is
 * yes: it is asked before a file is taken for quiet.
 */
export async function isOpenAnywhere(path: string): Promise<boolean> {
  let processes: string[];
  try {
    processes = await readdir('/proc');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
  const asked = processes.filter((name) => /^\d+$/.test(name)).map((pid) => hasOpen(pid, path));
  return (await Promise.all(asked)).includes(true);
}

async function hasOpen(pid: string, path: string): Promise<boolean> {
  try {
    const directory = `/proc/${pid}/fd`;
    const targets = (await readdir(directory)).map((fd) => readlink(`${directory}/${fd}`).catch(ignoreEnded));
    return (await Promise.all(targets)).includes(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Gone since it was listed, or another user's: an instance runs as the user that runs the cloud.
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return false;
    throw error;
  }
}

/** A descriptor that was closed, or a process that ended, between listing and reading. */
function ignoreEnded(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined;
  throw error;
}
