/** Every case, in the order in which they run. */
import type { Case } from '../case.js';
import { fabric } from './fabric.js';
import { fabricKept } from './fabric_kept.js';
import { fabricFilter } from './fabric_filter.js';
import { fabricCommit } from './fabric_commit.js';

export const CASES: readonly Case[] = [fabric, fabricKept, fabricFilter, fabricCommit];
