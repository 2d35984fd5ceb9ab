/** A file laid over the release. */
export interface SystemFile {
  readonly path: string;
  /** Four octal digits. */
  readonly mode: string;
  /** A number, or a name in the image's own passwd or group. */
  readonly owner: number | string;
  readonly group: number | string;
  readonly source: FileSource;
  /** Why it is there: what a reader of `foundry plan` wants to know. */
  readonly because: string;
}

/** A text file of root's, as nearly all of the factory's are. */
export const rootFile = (path: string, content: string, because: string, mode = '0644'): SystemFile => ({
  path,
  mode,
  owner: 'root',
  group: 'wheel',
  source: { content },
  because,
});

/** Where the bytes of a file come from. `sha256` is 64 hex digits. */
export type FileSource =
  | { readonly content: string }
  | { readonly url: string; readonly sha256: string }
  | { readonly s3: string; readonly sha256: string };

/** One assignment of rc.conf(5), loader.conf(5) or sysctl.conf(5), with the reason for it. */
export interface Setting {
  readonly key: string;
  readonly value: string;
  readonly because: string;
}

/**
 * A change to a file that the release brings. Lines whose first word is `comment` get a # in front; `first` and `last` are whole lines
 * (each ends with a line feed) put before and after everything else.
 */
export interface FileEdit {
  readonly path: string;
  readonly comment: string;
  readonly first: string;
  readonly last: string;
  readonly because: string;
}

/** What a feature of the recipe adds to an image. */
export interface ImageParts {
  /** Names of packages, from any repository. */
  readonly packages?: readonly string[];
  readonly rcConf?: readonly Setting[];
  readonly loaderConf?: readonly Setting[];
  readonly sysctlConf?: readonly Setting[];
  readonly files?: readonly SystemFile[];
  readonly edits?: readonly FileEdit[];
}
