/** The worker's own disk: FreeBSD's images ask for 10 GiB. */
export const WORKER_DISK_GIB = 10;

/** The disk that Amazon's Windows AMIs come with. */
export const WINDOWS_DISK_GIB = 30;
