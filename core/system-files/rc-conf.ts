import { rootFile, type Setting, type SystemFile } from '../image-parts.ts';
import type { Recipe } from '../recipe.ts';
import { merged, rcValue, settingsText } from './quoting.ts';

const on = (key: string, because: string): Setting => ({ key, value: 'YES', because });

/** The network of base and small; cloud-init writes its own (release/tools/ec2.conf, ec2_base_networking). */
const network = (): Setting[] => [
  {
    key: 'ifconfig_DEFAULT',
    value: 'SYNCDHCP accept_rtadv',
    because:
      'EC2 interfaces are ena0, vtnet0 or xn0: DEFAULT takes them all. SYNC: services need the address at start.',
  },
  {
    key: 'ipv6_activate_all_interfaces',
    value: 'YES',
    because: 'Subnets may have IPv6; addresses come by DHCPv6 (rtsold-M).',
  },
  {
    key: 'rtsold_enable',
    value: 'YES',
    because: 'Subnets may have IPv6; addresses come by DHCPv6 (rtsold-M).',
  },
  {
    key: 'rtsold_flags',
    value: '-M /usr/local/libexec/rtsold-M -a',
    because: 'Subnets may have IPv6; addresses come by DHCPv6 (rtsold-M).',
  },
  {
    key: 'dhclient_arpwait',
    value: 'NO',
    because: 'No other host shares an address in a VPC: asking costs seconds of every boot.',
  },
];

/** The parts of ec2-scripts that the flavour and the recipe turn on. */
const ec2Scripts = ({ ec2, flavour }: Recipe): Setting[] => {
  const because = 'ec2-scripts: what an instance does for its owner.';
  const parts = [
    ['ec2_configinit', ec2.configinit],
    ['ec2_fetchkey', ec2.fetchKey],
    ['ec2_loghostkey', ec2.logHostKey],
    ['ec2_ephemeral_swap', ec2.ephemeralSwap],
  ] as const;
  if (flavour === 'cloud-init') return [];
  return [
    ...parts.map(([name, wanted]) => ({
      key: `${name}_enable`,
      value: wanted === false ? 'NO' : 'YES',
      because,
    })),
    { key: 'ec2_fetchkey_user', value: ec2.loginUser, because },
  ];
};

/** ZFS: pools of two instances of one image must not have one identity. */
const zfs = (recipe: Recipe): Setting[] =>
  recipe.filesystem === 'zfs'
    ? [
        on('zfs_enable', 'Mounts the datasets of the pool.'),
        {
          key: 'zpool_reguid',
          value: 'zroot',
          because: 'Each instance gives its pool a GUID of its own at first boot.',
        },
        {
          key: 'zpool_upgrade',
          value: 'zroot',
          because: 'The pool gets the features of the release at first boot.',
        },
      ]
    : [];

const growth = (recipe: Recipe): Setting[] => [
  // cloud-init drives growfs itself (cc_growpart).
  ...(recipe.flavour === 'cloud-init'
    ? []
    : [on('growfs_enable', 'A volume larger than the image becomes a larger root at first boot.')]),
  // A size is a partition of the image already; with one before the root growfs makes no other.
  ...(recipe.swap === 'none'
    ? [{ key: 'growfs_swap_size', value: '0', because: 'The recipe wants no swap partition.' }]
    : []),
];

/** rc.conf(5) of FreeBSD's EC2 images (release/tools/ec2.conf), without what needs IMDSv1, and what the recipe says. */
export function rcConf(recipe: Recipe, fromFeatures: readonly Setting[]): SystemFile {
  const theRecipe = 'The recipe says so.';
  const settings = merged(
    [
      {
        key: 'hostname',
        value: recipe.hostname,
        because:
          recipe.flavour === 'cloud-init'
            ? 'Until cloud-init gives the instance its own name.'
            : 'It stays: dhclient-script(8) names only a host that has no name.',
      },
      ...(recipe.flavour === 'cloud-init' ? [] : network()),
      on('sshd_enable', 'The way in.'),
      {
        key: 'sshd_rsa_enable',
        value: 'NO',
        because: 'RSA host keys take seconds to make and nobody needs them.',
      },
      on('ntpd_enable', 'Time from Amazon Time Sync (ntp.conf).'),
      on('dev_aws_disk_enable', 'Links in /dev/aws/disk name EBS volumes by their ids.'),
      ...growth(recipe),
      ...ec2Scripts(recipe),
      ...zfs(recipe),
      ...(recipe.flavour === 'cloud-init'
        ? [on('cloudinit_enable', 'cloud-init does what ec2-scripts do in the other flavours.')]
        : []),
    ],
    fromFeatures,
    recipe.kernelModules.length > 0
      ? [{ key: 'kld_list', value: recipe.kernelModules.join(' '), because: theRecipe }]
      : [],
    Object.entries(recipe.services).map(([name, wanted]) => ({
      key: `${name}_enable`,
      value: wanted ? 'YES' : 'NO',
      because: theRecipe,
    })),
    Object.entries(recipe.rcConf).map(([key, value]) => ({ key, value, because: theRecipe })),
  );
  return rootFile(
    '/etc/rc.conf',
    settingsText(settings, ({ key, value }) => `${key}=${rcValue(value)}`),
    'rc.conf(5): services and network of the instance.',
  );
}
