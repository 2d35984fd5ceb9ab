/** The worker's own disk: FreeBSD's images ask for 10 GiB. */
export const WORKER_DISK_GIB = 10;

/** The console is polled every few seconds: the report stands on the live console for a minute before the worker powers itself off. */
export const LINGER_SECONDS = 60;

/** The disk that Amazon's Windows AMIs come with. */
export const WINDOWS_DISK_GIB = 30;

/** Every type that deployments launch Windows on first is a large: two vCPUs, by which its licence is billed. */
export const WINDOWS_VCPUS = 2;
