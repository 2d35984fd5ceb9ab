import type { FileEdit } from '../image-parts.ts';
import type { Recipe } from '../recipe.ts';

/** sshd_config(5) takes the first value it finds, so ours stands in front. */
const sshdConfig = (): FileEdit => ({
  path: '/etc/ssh/sshd_config',
  comment: 'KbdInteractiveAuthentication',
  first: 'KbdInteractiveAuthentication no\n',
  last: '',
  because: 'Keys only: AWS asks for it, and passwords get guessed.',
});

/** The pool's servers may be out of reach of a VPC; Amazon's clock never is. */
const ntpConf = (): FileEdit => ({
  path: '/etc/ntp.conf',
  comment: 'pool',
  first: '',
  last: 'server 169.254.169.123 iburst\n',
  because: 'Amazon Time Sync: a clock within the VPC, without a way out to the Internet.',
});

const VIDEO_TERMINALS = 9;

/** ttys(5): nobody types at the video console of an instance; the serial one is EC2's serial console. */
const ttys = ({ serialConsole }: Recipe): FileEdit[] => [
  ...Array.from({ length: VIDEO_TERMINALS }, (_, index) => ({
    path: '/etc/ttys',
    comment: `ttyv${index}`,
    first: '',
    last: '',
    because: 'Nobody types at the video console of an instance.',
  })),
  {
    path: '/etc/ttys',
    comment: 'ttyu0',
    first: '',
    last: `ttyu0\t"/usr/libexec/getty 3wire.${serialConsole.speed}"\tvt100\tonifexists secure\n`,
    because: 'The EC2 serial console has a login.',
  },
];

/** Changes to files that the release brings: what else stands in them stays. */
export const releaseEdits = (recipe: Recipe): FileEdit[] => [sshdConfig(), ntpConf(), ...ttys(recipe)];
