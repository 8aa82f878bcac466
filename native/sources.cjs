// Whether an addon was made from this checkout's native sources. It carries a hash of them (native/build.mjs puts it in). After a
// `git pull` without a build, compiled TypeScript would otherwise call functions that the addon does not have.
// CommonJS, since native/addon.ts must decide before its first import is done. Not in packages: there nothing can be out of date.
const { readdirSync, readFileSync, statSync } = require('node:fs');
const { join } = require('node:path');

const folder = join(__dirname, 'src');
const files = () => readdirSync(folder).filter((name) => /\.(cc|h)$/.test(name)).sort();

/** 64 hexadecimal digits: SHA-256 over name and text of all that is compiled. */
exports.sourceHash = () => {
  const hash = require('node:crypto').createHash('sha256');  // 4 ms that only a later file takes
  for (const name of files()) hash.update(`${name}\0`).update(readFileSync(join(folder, name))).update('\0');
  return hash.digest('hex');
};

/**
 * Whether the file `addon` was made from other sources. Times are asked first, which takes 0.4 ms; only if one is later than the addon's
 * the texts are (2 ms, and 1 ms for the addon): a checkout may give the same text a new time.
 */
exports.isStale = (addon) => {
  const made = statSync(addon).mtimeMs;
  const isLater = statSync(folder).mtimeMs > made || files().some((name) => statSync(join(folder, name)).mtimeMs > made);
  return isLater && !readFileSync(addon).includes(`framekeep sources ${exports.sourceHash()}`);
};
