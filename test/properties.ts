/**
 * fast-check, with the same randomness in every run of `npm test`: what fails there is what was changed. FRAMEKEEP_SEED=N takes
 * another (`npm run test:nightly` takes the day's), and a property that fails prints it.
 */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env['FRAMEKEEP_SEED'] ?? 20261121) });

export default fc;
