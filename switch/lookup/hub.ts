/** A hub: every frame goes to every other port. The smallest switching logic there is. */
import { FLOOD, UNDECIDED, type Burst } from '../burst.js';
import type { SwitchLogic } from './logic.js';

export default (): SwitchLogic => ({
  name: 'hub',
  decide(burst: Burst) {
    for (let i = 0; i < burst.count; i++) if (burst.egress[i] === UNDECIDED) burst.egress[i] = FLOOD;
  },
});
