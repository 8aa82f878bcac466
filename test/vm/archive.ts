/**
 * An initramfs: the `newc` form of cpio, written by hand so that no cpio need be installed
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Archives may follow one another.
 */

/** A file (bytes), a directory (undefined) or a symbolic link ({ to }). */
export interface ArchiveEntry {
  /** Without a leading slash. */
  readonly path: string;
  readonly content?: Uint8Array | { readonly to: string };
  /** Permission bits; 0755 by default. */
  readonly mode?: number;
}

const S_IFDIR = 0o040000, S_IFREG = 0o100000, S_IFLNK = 0o120000;

export function cpio(entries: readonly ArchiveEntry[]): Buffer {
  const parts: Buffer[] = [];
  let inode = 1;
  const add = (path: string, mode: number, data: Uint8Array): void => {
    const name = Buffer.from(`${path}\0`);
    const fields = [inode++, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0].map((n) => n.toString(16).padStart(8, '0'));
    const header = Buffer.from(`070701${fields.join('')}`);
    parts.push(header, name, padding(header.length + name.length), Buffer.from(data), padding(data.length));
  };
  for (const { path, content, mode = 0o755 } of entries) {
    if (content === undefined) add(path, S_IFDIR | mode, new Uint8Array());
    else if (content instanceof Uint8Array) add(path, S_IFREG | mode, content);
    else add(path, S_IFLNK | 0o777, Buffer.from(content.to));
  }
  add('TRAILER!!!', 0, new Uint8Array());
  return Buffer.concat(parts);
}

const padding = (length: number): Buffer => Buffer.alloc(-length & 3);
