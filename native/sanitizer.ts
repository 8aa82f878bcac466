/** What only the sanitized build of the addon has (native/src/sanitizer.cc, `npm run test:sanitize`): undefined in every other. */
import { addon } from './addon.js';

/** From now on (or, with `whether` false, no more) native code that touches these bytes of a mapping ends the process with a report. */
export const sanitizerForbid: ((mapping: number, offset: number, bytes: number, whether: boolean) => number) | undefined = addon['sanitizerForbid'] as any;
/** Does what a sanitizer must tell: 0 a read behind its memory, 1 a signed overflow, 2 a leak. */
export const sanitizerFault: ((kind: number) => number) | undefined = addon['sanitizerFault'] as any;
