/**
 * The one error class of framekeep. Every failure a user can meet carries a stable `code`, and a message of three
 * parts: what failed, on what, what to do about it.
 */
export class FramekeepError extends Error {
  /** Stable, for programs: `E_POOL_LOCKED`, `E_FILTER_SYNTAX`, … Listed in docs/errors.md. */
  readonly code: string;
  /** What to do about it, one sentence or command; empty where there is nothing to advise. */
  readonly remedy: string;

  constructor(code: string, what: string, remedy = '', options?: ErrorOptions) {
    super(remedy ? `${what}\n  ${remedy}` : what, options);
    this.name = 'FramekeepError';
    this.code = code;
    this.remedy = remedy;
  }
}

/** Symbolic name of a negative errno, as the native layer returns it: -13 → `EACCES`. */
export function errnoName(negative: number): string {
  return ERRNO.get(-negative) ?? `errno ${-negative}`;
}

// asm-generic/errno-base.h and errno.h: the same numbers on x86-64 and arm64.
const ERRNO = new Map<number, string>([
  [1, 'EPERM'], [2, 'ENOENT'], [4, 'EINTR'], [5, 'EIO'], [6, 'ENXIO'], [9, 'EBADF'], [11, 'EAGAIN'], [12, 'ENOMEM'], [13, 'EACCES'],
  [14, 'EFAULT'], [16, 'EBUSY'], [17, 'EEXIST'], [19, 'ENODEV'], [20, 'ENOTDIR'], [21, 'EISDIR'], [22, 'EINVAL'], [23, 'ENFILE'],
  [24, 'EMFILE'], [26, 'ETXTBSY'], [27, 'EFBIG'], [28, 'ENOSPC'], [30, 'EROFS'], [32, 'EPIPE'], [34, 'ERANGE'], [36, 'ENAMETOOLONG'], [38, 'ENOSYS'],
  [40, 'ELOOP'], [75, 'EOVERFLOW'], [88, 'ENOTSOCK'], [90, 'EMSGSIZE'], [92, 'ENOPROTOOPT'], [93, 'EPROTONOSUPPORT'], [95, 'EOPNOTSUPP'], [97, 'EAFNOSUPPORT'],
  [98, 'EADDRINUSE'], [99, 'EADDRNOTAVAIL'], [100, 'ENETDOWN'], [105, 'ENOBUFS'], [107, 'ENOTCONN'], [110, 'ETIMEDOUT'], [111, 'ECONNREFUSED'], [122, 'EDQUOT'],
]);
