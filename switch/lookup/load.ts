/** Finds the switching logic that was asked for: a built-in one by name, or a user's own module by file. */
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { FramekeepError } from '../../native/index.js';
import { perFrame, type FrameLogic, type LogicContext, type LogicFactory, type SwitchLogic } from './logic.js';

/** @throws FramekeepError E_LOGIC */
export async function loadLogic(name: string, context: LogicContext): Promise<SwitchLogic> {
  if (name === 'learning') return (await import('./learning.js')).default(context);
  if (name === 'hub') return (await import('./hub.js')).default();
  if (!existsSync(name)) {
    throw new FramekeepError('E_LOGIC', `there is no switching logic '${name}'`, "use 'learning', 'hub', or the path of a module whose default export makes one (docs/logic.md)");
  }
  let made: unknown;
  try {
    const module = await import(pathToFileURL(name).href) as { default?: LogicFactory };
    if (typeof module.default !== 'function') throw new TypeError('its default export is not a function');
    made = module.default(context);
  } catch (cause) {
    const isTypeScript = name.endsWith('.ts') && (cause as NodeJS.ErrnoException).code === 'ERR_UNKNOWN_FILE_EXTENSION';
    throw new FramekeepError('E_LOGIC', `the switching logic ${name} does not load: ${(cause as Error).message}`,
      isTypeScript ? `Node ${process.versions.node} does not run TypeScript: compile it first (npx tsc), or use Node 22.18 or later` : 'see docs/logic.md', { cause });
  }
  if (typeof (made as SwitchLogic | undefined)?.decide === 'function') return guarded(made as SwitchLogic, name);
  if (typeof (made as FrameLogic | undefined)?.forward === 'function') return guarded(perFrame(made as FrameLogic), name);
  throw new FramekeepError('E_LOGIC', `the switching logic ${name} has neither decide() nor forward()`, 'see docs/logic.md');
}

/** What a user's module throws in mid-traffic ends the switch, and is told as that module's fault. A `try` a burst costs nothing. */
function guarded(logic: SwitchLogic, name: string): SwitchLogic {
  const decide = logic.decide.bind(logic);
  logic.decide = (burst) => {
    try {
      decide(burst);
    } catch (cause) {
      throw new FramekeepError('E_LOGIC', `the switching logic ${name} failed: ${(cause as Error)?.stack ?? String(cause)}`, 'correct it: see docs/logic.md', { cause });
    }
  };
  return logic;
}
