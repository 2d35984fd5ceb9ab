/**
 * Whom FreeBSD's releases trust, for an image that has no base system yet because the packages to come are the base system: the
 * fingerprints of share/keys in FreeBSD's source (facts). Once an image has such a directory, only what is in it counts.
 */
export const FREEBSD_KEYS: Readonly<Record<string, readonly string[]>> = {
  '/usr/share/keys/pkg': ['b0170035af3acc5f3f3ae1859dc717101b4e6c1d0a794ad554928ca0cbb2f438'],
  '/usr/share/keys/pkgbase-15': [
    '1d7b45d20fa8d6ed26f9b4a13ac81a6b5df860b9fe644d07b87e92298ba72595',
    '56a77bdcb6c3cf7984729c6138bd5617c24aa0d466b3b604c96205b2c5629f3c',
  ],
};
