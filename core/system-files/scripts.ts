import { rootFile, type SystemFile } from '../image-parts.ts';
import type { Recipe } from '../recipe.ts';

const program = (path: string, content: string, because: string) => rootFile(path, content, because, '0755');

/** rtsold(8), -M: called with the interface when a router says that addresses are managed. */
const rtsoldManaged = program(
  '/usr/local/libexec/rtsold-M',
  `#!/bin/sh
# Called by rtsold(8) when a router advertisement says that addresses come by DHCPv6: gets one for the interface $1.
# -nw: in the background. -N: an address, not a prefix. No configuration file: the defaults are what EC2 needs.
exec /usr/local/sbin/dhclient -6 -nw -N -cf /dev/null "$1"
`,
  'IPv6 addresses: base has no DHCPv6 client, isc-dhcp44-client is one.',
);

/**
 * An executable automount map (auto_master(5)): given the name of a file system, prints options and location. FreeBSD's own asks IMDSv1 for
 * the zone; this one asks IMDSv2 for the region, whose name resolves to the mount target of the zone (EFS User Guide, "DNS name").
 */
const efsMap = program(
  '/etc/autofs/special_efs',
  `#!/bin/sh
# An automount map for Amazon EFS: enable it by a line in auto_master(5), for example
#   /efs	special_efs
# and /efs/fs-0123456789abcdef0 is that file system. Works with IMDSv2 only instances.
[ $# -eq 1 ] || exit 0
region=$(/usr/local/bin/aws-ec2-imdsv2-get latest/meta-data/placement/region) || exit 1
domain=$(/usr/local/bin/aws-ec2-imdsv2-get latest/meta-data/services/domain) || exit 1
echo "-nfsv4,minorversion=1,oneopenown \${1}.efs.\${region}.\${domain}:/"
`,
  'Amazon EFS by automount, with IMDSv2.',
);

/** Programs of our own, by flavour. */
export const scripts = ({ flavour }: Recipe): SystemFile[] =>
  flavour === 'cloud-init' ? [] : [rtsoldManaged, efsMap];
