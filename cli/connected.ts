/** How the commands reach a running switch: by `--name`, or the only one there is. */
import { connectControl, type ControlClient } from '../switch/control/index.js';

/** Connects, does `work`, and closes. @throws FramekeepError E_NO_SWITCH, E_SWITCH_AMBIGUOUS, and what the switch says */
export async function connected<T>(name: string | undefined, work: (control: ControlClient) => Promise<T>): Promise<T> {
  const control = await connectControl(name);
  try {
    return await work(control);
  } finally {
    control.close();
  }
}
